//! Answers: the form that a client wants, and how it is written.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::Serialize;
use serde_json::Value;

use crate::query::Query;
use crate::read::Listed;
use crate::resource::Resource;
use crate::show::{ListMeta, item, partial, version_of, whole};
use crate::status::{Result, Status};
use crate::table::{Include, Table};

/// The media type of all answers. kube-apiserver has protobuf and YAML too.
const ACCEPTED: &str = "application/json";

/// The form in which a client wants an object.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Form {
    /// The whole object.
    Whole,
    /// A row of a table, for people.
    Table(Include),
    /// Only its metadata, as kube's `Controller` watches the objects that it owns.
    Metadata,
    /// Only the metadata of each item of a list.
    MetadataList,
}

impl Form {
    /// Reads the form from the `Accept` header.
    ///
    /// # Errors
    /// 406, if the client accepts no form that is served.
    pub fn of(headers: &HeaderMap, query: &Query) -> Result<Self> {
        let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if accept.is_empty() {
            return Ok(Self::Whole);
        }
        let include = Include::of(query.text("includeObject"));
        let mut clauses: Vec<(f32, Self)> =
            accept.split(',').filter_map(|clause| clause_form(clause, include)).collect();
        clauses.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        let form = clauses.first().map(|(_, form)| *form);
        let json = ["application/json", "*/*"];
        form.ok_or_else(|| match json.iter().any(|json| accept.contains(json)) {
            true => Status::not_acceptable(format!("only the following media types are accepted: {ACCEPTED}")),
            false => Status::no_representation(ACCEPTED),
        })
    }
}

/// Returns what one part of an `Accept` header asks for, and its weight; `None` if it is not served.
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
    match (convert, group, version) {
        ("", ..) => Some((weight, Form::Whole)),
        ("Table", "meta.k8s.io", "v1") => Some((weight, Form::Table(include))),
        ("PartialObjectMetadata", "meta.k8s.io", "v1") => Some((weight, Form::Metadata)),
        ("PartialObjectMetadataList", "meta.k8s.io", "v1") => Some((weight, Form::MetadataList)),
        _ => None,
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct List<T> {
    kind: String,
    api_version: &'static str,
    metadata: ListMeta,
    items: Option<Vec<T>>,
}

/// Answers with an object in a form.
pub fn object(form: Form, code: StatusCode, resource: Resource, value: &Value) -> Response {
    match form {
        Form::Whole => json(code, &whole(resource, value)),
        Form::Table(include) => {
            let metadata = ListMeta { resource_version: version_of(value) };
            json(code, &Table::of(resource, include, metadata, [value]))
        }
        Form::Metadata => json(code, &partial(value)),
        Form::MetadataList => {
            let kind = resource.go_type();
            let why = format!("PartialObjectMetadataList, but the requested object is not a list (*{kind})");
            status(&not_as_requested(why))
        }
    }
}

/// Answers with a list in a form.
pub fn list(form: Form, resource: Resource, listed: &Listed) -> Response {
    let metadata = ListMeta { resource_version: listed.revision.to_string() };
    let items = listed.items.iter().map(|value| &**value);
    match form {
        Form::Whole => {
            let items = Some(items.map(|value| item(resource, value)).collect());
            let kind = format!("{}List", resource.kind());
            json(StatusCode::OK, &List { kind, api_version: resource.version(), metadata, items })
        }
        Form::Table(include) => json(StatusCode::OK, &Table::of(resource, include, metadata, items)),
        Form::Metadata => {
            let kind = resource.go_type();
            let why = format!("PartialObjectMetadata, but the requested object is a list (*{kind}List)");
            status(&not_as_requested(why))
        }
        Form::MetadataList => {
            let kind = "PartialObjectMetadataList".to_owned();
            // kube-apiserver writes null for an empty list here, and an empty list in every other place.
            let items = Some(items.map(partial).collect()).filter(|items: &Vec<_>| !items.is_empty());
            json(StatusCode::OK, &List { kind, api_version: "meta.k8s.io/v1", metadata, items })
        }
    }
}

fn not_as_requested(why: String) -> Box<Status> {
    Status::not_acceptable(format!("you requested {why}"))
}

/// Answers with any value, as JSON with a line end.
pub fn json(code: StatusCode, value: &impl Serialize) -> Response {
    // This fails only for keys that are not strings, and nothing here has such keys.
    let mut body = serde_json::to_vec(value).unwrap_or_default();
    body.push(b'\n');
    response(code, "application/json", Body::from(body))
}

/// Answers with plain text.
pub fn text(code: StatusCode, text: &str) -> Response {
    response(code, "text/plain; charset=utf-8", Body::from(text.to_owned()))
}

/// Answers with a Status, which may be a success.
pub fn status(status: &Status) -> Response {
    let mut response = json(status.code(), status);
    if let Some(seconds) = status.details.as_ref().and_then(|details| details.retry_after_seconds) {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// Makes an answer with any body.
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
        Form::of(&headers, &query).ok()
    }

    #[test]
    fn the_first_form_that_is_served_is_taken() {
        let table = Form::Table(Include::Metadata);
        let kubectl = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
        for (accept, expected) in [
            (kubectl, Some(table)),
            ("application/vnd.kubernetes.protobuf,application/json", Some(Form::Whole)),
            (
                "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json",
                Some(Form::Whole),
            ),
            ("application/json;q=0.5,application/json;as=Table;g=meta.k8s.io;v=v1;q=0.9", Some(table)),
            // As client-go's metadata client asks.
            (
                "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json",
                Some(Form::Metadata),
            ),
            ("*/*", Some(Form::Whole)),
            ("application/vnd.kubernetes.protobuf", None),
            ("text/html", None),
        ] {
            assert_eq!(form(accept), expected, "{accept}");
        }
    }
}
