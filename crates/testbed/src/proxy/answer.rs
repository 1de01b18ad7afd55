//! The proxy's own answers in place of the API server's, in the words of kube-apiserver 1.37.

use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode, Uri};
use serde_json::{Value, json};

use super::fault::Action;
use crate::verb::Object;

/// The body of an answer, whether it is the API server's own or not.
pub(super) type Body = UnsyncBoxBody<Bytes, hyper::Error>;

/// The body of an answer of priority and fairness. It is the only one that is not a Status.
const OVERLOAD: &str = "Too many requests, please try again later.\n";

/// The error for a watch at a revision that etcd has compacted.
const EXPIRED: &str = "The resourceVersion for the provided watch is too old.";

/// Returns the answer to a request for `uri`, or `None` if the action leaves that to the API server.
pub(super) fn in_its_stead(action: Action, uri: &Uri) -> Option<Response<Body>> {
    let response = match action {
        Action::Conflict => {
            let changed = "the object has been modified; please apply your changes to the latest version and try again";
            let Object { group, resource, name } = Object::of(uri.path());
            let kind = if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") };
            let message = format!("Operation cannot be fulfilled on {kind} {name:?}: {changed}");
            let mut details = json!({"name": name, "group": group, "kind": resource});
            if let (true, Some(details)) = (group.is_empty(), details.as_object_mut()) {
                details.remove("group");
            }
            of_status(StatusCode::CONFLICT, json!({"message": message, "reason": "Conflict", "details": details}))
        }
        Action::TooManyRequests => {
            let response = response(StatusCode::TOO_MANY_REQUESTS, "text/plain; charset=utf-8", OVERLOAD.to_owned());
            retry_after(response)
        }
        // The API server does not know this error, so it has no reason.
        Action::InternalError => {
            of_status(StatusCode::INTERNAL_SERVER_ERROR, json!({"message": "etcdserver: request timed out"}))
        }
        Action::Unavailable => {
            let status = json!({"message": "apiserver is shutting down", "reason": "ServiceUnavailable"});
            retry_after(of_status(StatusCode::SERVICE_UNAVAILABLE, status))
        }
        Action::GatewayTimeout => {
            let message = "Timeout: request did not complete within the allotted timeout";
            of_status(StatusCode::GATEWAY_TIMEOUT, json!({"message": message, "reason": "Timeout", "details": {}}))
        }
        Action::Latency { .. }
        | Action::LostResponse
        | Action::LateDelivery
        | Action::WatchClosed
        | Action::WatchStalled
        | Action::WatchGone => return None,
    };
    Some(response)
}

/// The last event of a watch that cannot go on.
pub(super) fn expired() -> Bytes {
    let status = status(StatusCode::GONE, json!({"message": EXPIRED, "reason": "Expired"}));
    format!("{}\n", json!({"type": "ERROR", "object": status})).into()
}

/// Makes the Status of a failure, with the fields that are particular to it.
fn status(code: StatusCode, particular: Value) -> Value {
    let mut status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": code.as_u16(),
    });
    if let (Some(status), Value::Object(particular)) = (status.as_object_mut(), particular) {
        status.extend(particular);
    }
    status
}

fn of_status(code: StatusCode, particular: Value) -> Response<Body> {
    response(code, "application/json", status(code, particular).to_string())
}

fn response(code: StatusCode, content_type: &'static str, body: String) -> Response<Body> {
    let body = Full::new(Bytes::from(body)).map_err(|never| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// Adds `Retry-After: 1`, which the API server sends in both cases.
fn retry_after(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}
