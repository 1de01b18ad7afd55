//! Answers: which form a client wants, and how it is written.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::Serialize;
use serde_json::Value;

use crate::query::Query;
use crate::read::Page;
use crate::resource::Resource;
use crate::show::{ListMeta, Shown, partial, version_of, whole};
use crate::status::{Result, Status};
use crate::table::{Include, Table};

/// The media type that answers come in. kube-apiserver has protobuf and YAML too.
const ACCEPTED: &str = "application/json";

/// What a client wants to see of an object.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Form {
    /// All of it.
    Whole,
    /// A row of a table, for people. In a version of `meta.k8s.io`.
    Table(&'static str, Include),
    /// The metadata only, in a version of `meta.k8s.io`.
    Metadata(&'static str),
    /// The same of each item of a list.
    MetadataList(&'static str),
}

/// How an answer is to be written.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    pub form: Form,
    pub pretty: bool,
}

impl Wanted {
    /// By the headers, and what the client calls itself: `curl` is read by people.
    ///
    /// # Errors
    /// 406, if nothing will do.
    pub fn of(headers: &HeaderMap, query: &Query) -> Result<Self> {
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let agent = text(header::USER_AGENT);
        let human = ["curl", "Wget", "Mozilla/5.0"].iter().any(|name| agent.starts_with(name));
        let pretty = match query.text("pretty") {
            "" => human,
            text => matches!(text, "1" | "t" | "T" | "true" | "TRUE" | "True"),
        };
        let include = Include::of(query.text("includeObject"));
        let accept = text(header::ACCEPT);
        if accept.is_empty() {
            return Ok(Self { form: Form::Whole, pretty });
        }
        let mut clauses: Vec<(f32, Form)> =
            accept.split(',').filter_map(|clause| clause_form(clause, include)).collect();
        clauses.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        let form = clauses.first().map(|(_, form)| *form);
        let json = ["application/json", "*/*"];
        let form = form.ok_or_else(|| match json.iter().any(|json| accept.contains(json)) {
            true => Status::not_acceptable(format!("only the following media types are accepted: {ACCEPTED}")),
            false => Status::no_representation(ACCEPTED),
        })?;
        if form == Form::Table("meta.k8s.io/v1", Include::Unknown) {
            let why = "must be 'Metadata', 'Object', 'None', or empty";
            let shown = crate::go::quoted(query.text("includeObject"));
            let error = crate::invalid::FieldError::invalid("includeObject", shown, why);
            return Err(Status::bad_request(format!("Unable to convert to Table as requested: {error}")));
        }
        Ok(Self { form, pretty })
    }
}

/// What one part of an `Accept` header asks for, and how much; none if it is not served.
fn clause_form(clause: &str, include: Include) -> Option<(f32, Form)> {
    let mut parts = clause.split(';').map(str::trim);
    if !matches!(parts.next()?, "application/json" | "*/*") {
        return None;
    }
    let (mut weight, mut convert, mut group, mut version) = (1.0, "", "", "");
    for (name, value) in parts.filter_map(|part| part.split_once('=')) {
        match name.trim() {
            "q" => weight = value.parse().unwrap_or(1.0),
            "as" => convert = value,
            "g" => group = value,
            "v" => version = value,
            _ => {}
        }
    }
    if convert.is_empty() {
        return Some((weight, Form::Whole));
    }
    let version = match (group, version) {
        ("meta.k8s.io", "v1") => "meta.k8s.io/v1",
        ("meta.k8s.io", "v1beta1") => "meta.k8s.io/v1beta1",
        _ => return None,
    };
    match convert {
        "Table" => Some((weight, Form::Table(version, include))),
        "PartialObjectMetadata" => Some((weight, Form::Metadata(version))),
        "PartialObjectMetadataList" => Some((weight, Form::MetadataList(version))),
        _ => None,
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct List<'a, T> {
    kind: String,
    api_version: &'a str,
    metadata: ListMeta<'a>,
    items: Vec<T>,
}

/// An object as it is wanted.
pub fn object(wanted: Wanted, code: StatusCode, resource: Resource, value: &Value) -> Response {
    match wanted.form {
        Form::Whole => json(wanted.pretty, code, &whole(resource, value)),
        Form::Table(version, include) => {
            let meta = ListMeta { resource_version: version_of(value), ..ListMeta::default() };
            json(wanted.pretty, code, &Table::of(resource, version, include, meta, [value]))
        }
        Form::Metadata(version) => json(wanted.pretty, code, &partial(version, value)),
        Form::MetadataList(_) => {
            let go = if resource == Resource::Leases { "coordination.Lease" } else { resource.kind() };
            not_acceptable(wanted, format!("PartialObjectMetadataList, but the requested object is not a list (*{go})"))
        }
    }
}

/// A list as it is wanted.
pub fn list(wanted: Wanted, resource: Resource, page: &Page) -> Response {
    let metadata = ListMeta {
        resource_version: page.revision.to_string(),
        resume: &page.resume,
        remaining_item_count: page.remaining,
    };
    let (pretty, code) = (wanted.pretty, StatusCode::OK);
    match wanted.form {
        Form::Whole => {
            let items = page.items.iter();
            let items = items.map(|value| Shown { kind: None, of: resource.object(), value }).collect();
            let kind = format!("{}List", resource.kind());
            json(pretty, code, &List { kind, api_version: resource.version(), metadata, items })
        }
        Form::Table(version, include) => {
            let items = page.items.iter().map(|value| &**value);
            json(pretty, code, &Table::of(resource, version, include, metadata, items))
        }
        Form::Metadata(_) => {
            let go = if resource == Resource::Leases { "coordination.LeaseList" } else { "List" };
            not_acceptable(wanted, format!("PartialObjectMetadata, but the requested object is a list (*{go})"))
        }
        Form::MetadataList(version) => {
            let items = page.items.iter().map(|value| partial(version, value)).collect();
            let kind = "PartialObjectMetadataList".to_owned();
            json(pretty, code, &List { kind, api_version: version, metadata, items })
        }
    }
}

fn not_acceptable(wanted: Wanted, why: String) -> Response {
    status(wanted.pretty, &Status::not_acceptable(format!("you requested {why}")))
}

/// Anything, as JSON with a line end.
pub fn json(pretty: bool, code: StatusCode, value: &impl Serialize) -> Response {
    let written = if pretty { serde_json::to_vec_pretty(value) } else { serde_json::to_vec(value) };
    // Nothing that is written here has keys that are no strings, which is all that could go wrong.
    let mut body = written.unwrap_or_default();
    body.push(b'\n');
    response(code, "application/json", Body::from(body))
}

/// Plain text.
pub fn text(code: StatusCode, text: &str) -> Response {
    response(code, "text/plain; charset=utf-8", Body::from(text.to_owned()))
}

/// How a request has failed, or that it has not.
pub fn status(pretty: bool, status: &Status) -> Response {
    let mut response = json(pretty, status.code(), status);
    if let Some(seconds) = status.details.as_ref().and_then(|details| details.retry_after_seconds) {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// Any body.
pub fn response(code: StatusCode, media_type: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(accept: &str) -> Option<Form> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, accept.parse().unwrap());
        let query = Query::of(&"/".parse().unwrap());
        Wanted::of(&headers, &query).ok().map(|wanted| wanted.form)
    }

    #[test]
    fn the_first_form_that_is_served_is_taken() {
        let table = Form::Table("meta.k8s.io/v1", Include::Metadata);
        let kubectl = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
        for (accept, expected) in [
            (kubectl, Some(table)),
            ("application/vnd.kubernetes.protobuf,application/json", Some(Form::Whole)),
            (
                "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json",
                Some(Form::Whole),
            ),
            ("application/json;q=0.5,application/json;as=Table;g=meta.k8s.io;v=v1;q=0.9", Some(table)),
            ("*/*", Some(Form::Whole)),
            ("application/vnd.kubernetes.protobuf", None),
            ("text/html", None),
        ] {
            assert_eq!(form(accept), expected, "{accept}");
        }
    }
}
