//! Serves one request, from its headers to the answer. The order decides which error is returned: first who asks, then whether
//! they may, then whether the resource exists, and only then the request itself.

use std::time::Duration;

use axum::body::{Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use tokio::time::timeout;

use crate::answer::{self, Form};
use crate::auth::Caller;
use crate::query::{ListOptions, Query};
use crate::read;
use crate::resource::Resource;
use crate::route::Info;
use crate::status::{Result, Status};
use crate::store::{Key, Store};
use crate::write::{self, Deleted, Write, Written};
use crate::{discovery, watch};

/// How long a client may take to send a body, as with kube-apiserver.
const BODY_BOUND: Duration = Duration::from_secs(34);

/// Answers any request.
pub async fn serve(State(store): State<Store>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let query = Query::of(&parts.uri);
    let info = Info::of(&parts.method, &parts.uri, &query);
    let asked = Asked { store: &store, info: &info, query: &query, method: &parts.method, headers: &parts.headers };
    let answered = async {
        let caller = store.users().caller(&parts.headers)?;
        caller.authorize(&info)?;
        let max = store.limits().body_bytes();
        let reads = matches!(parts.method, Method::GET | Method::HEAD);
        let body = match timeout(BODY_BOUND, to_bytes(body, if reads { 0 } else { max })).await {
            Ok(Ok(body)) => body,
            // A body that nobody reads may have any length.
            _ if reads => Bytes::new(),
            // If the client is gone instead, no answer reaches it.
            Ok(Err(_)) => return Err(Status::too_large(max)),
            Err(_) => return Err(Status::bad_request("the body did not arrive in time")),
        };
        asked.answer(&caller, &body).await
    };
    match answered.await {
        Ok(response) => response,
        Err(status) => answer::status(&status),
    }
}

/// A request.
struct Asked<'a> {
    store: &'a Store,
    info: &'a Info,
    query: &'a Query,
    method: &'a Method,
    headers: &'a HeaderMap,
}

impl Asked<'_> {
    async fn answer(&self, caller: &Caller, body: &Bytes) -> Result<Response> {
        let info = self.info;
        if !info.is_resource {
            return match *self.method {
                _ if *self.method == Method::GET || discovery::any_method(&info.path) => {
                    let host = self.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
                    Ok(discovery::answer(&info.path, host))
                }
                _ => Err(Status::method_not_allowed()),
            };
        }
        let Some(resource) = Resource::find(&info.group, &info.version, &info.resource) else {
            return match discovery::serves(&info.group) {
                true => Err(Status::no_such_resource()),
                false => Ok(answer::text(StatusCode::NOT_FOUND, "404 page not found\n")),
            };
        };
        if info.too_long || !info.subresource.is_empty() {
            return Err(Status::no_such_resource());
        }
        // A list may be of all namespaces. No other request can.
        let somewhere = !resource.namespaced() || !info.namespace.is_empty();
        if !somewhere && info.named && info.verb != "watch" {
            return Err(Status::no_such_resource());
        }
        match (info.verb.as_str(), info.named, somewhere) {
            _ if *self.method == Method::HEAD => Err(Status::method_not_allowed()),
            ("get", true, true) => self.get(resource).await,
            ("list", false, _) => self.list(resource).await,
            ("watch", _, _) => self.watch(resource).await,
            ("create", false, true) | ("update" | "patch" | "delete", true, true) => self.write(resource, caller, body),
            _ => Err(Status::method_not_allowed()),
        }
    }

    fn namespace(&self, resource: Resource) -> &str {
        if resource.namespaced() { &self.info.namespace } else { "" }
    }

    /// The namespace to list; `None` for all.
    fn listed_namespace(&self, resource: Resource) -> Option<&str> {
        Some(self.namespace(resource)).filter(|namespace| !namespace.is_empty() || !resource.namespaced())
    }

    async fn get(&self, resource: Resource) -> Result<Response> {
        let form = Form::of(self.headers, self.query)?;
        let key = Key::new(resource, self.namespace(resource), &self.info.name);
        let object = read::get(self.store, resource, &key, self.query).await?;
        Ok(answer::object(form, StatusCode::OK, resource, &object))
    }

    async fn list(&self, resource: Resource) -> Result<Response> {
        let form = Form::of(self.headers, self.query)?;
        let options = ListOptions::of(self.query, resource, false)?;
        let listed = read::list(self.store, resource, self.listed_namespace(resource), &options).await?;
        Ok(answer::list(form, resource, &listed))
    }

    async fn watch(&self, resource: Resource) -> Result<Response> {
        let form = Form::of(self.headers, self.query)?;
        let mut options = ListOptions::of(self.query, resource, true)?;
        if self.info.named {
            options.selection.fields = std::mem::take(&mut options.selection.fields).and_name(&self.info.name);
        }
        let namespace = self.listed_namespace(resource).map(str::to_owned);
        watch::watch(self.store, resource, namespace, options, form).await
    }

    fn write(&self, resource: Resource, caller: &Caller, body: &Bytes) -> Result<Response> {
        let form = Form::of(self.headers, self.query)?;
        let (store, info, query, headers) = (self.store, self.info, self.query, self.headers);
        let mut write = Write { store, caller, info, resource, query, headers, body, warnings: Vec::new() };
        let written = match info.verb.as_str() {
            "create" => write::create(&mut write)?,
            "update" => write::update(&mut write)?,
            "patch" => write::patch(&mut write)?,
            _ => match write::delete(&write)? {
                Deleted::Gone(status) => return Ok(answer::status(&status)),
                Deleted::Shown(object) => Written { object, created: false },
            },
        };
        let code = if written.created { StatusCode::CREATED } else { StatusCode::OK };
        let mut response = answer::object(form, code, resource, &written.object);
        for warning in &write.warnings {
            let warning = format!("299 - {}", crate::go::quoted(warning));
            if let Ok(warning) = HeaderValue::from_str(&warning) {
                response.headers_mut().append(header::WARNING, warning);
            }
        }
        Ok(response)
    }
}
