//! `Status`, in which kube-apiserver reports how a request ended. The texts are exactly its own.

use axum::http::StatusCode;
use serde::Serialize;

use crate::go::quoted;
use crate::invalid::{FieldError, summary};

/// Errors go to the client, and to nobody else.
pub type Result<T, E = Box<Status>> = std::result::Result<T, E>;

/// The `Status` object of the API.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    kind: &'static str,
    api_version: &'static str,
    metadata: ListMeta,
    status: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<Details>,
    /// Absent in a success.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u16>,
}

/// Always empty here, and always shown.
#[derive(Clone, Debug, Serialize)]
struct ListMeta {}

/// The subject of the request.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Details {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub group: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<Cause>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_seconds: Option<u32>,
}

/// One of several errors.
#[derive(Clone, Debug, Serialize)]
pub struct Cause {
    #[serde(skip_serializing_if = "str::is_empty")]
    pub reason: &'static str,
    pub message: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub field: String,
}

impl From<&FieldError> for Cause {
    fn from(error: &FieldError) -> Self {
        Self { reason: error.reason, message: error.body.clone(), field: error.field.clone() }
    }
}

/// The subject of a message, such as `leases` of `coordination.k8s.io`.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    pub group: &'a str,
    /// A resource in most messages, a kind in some.
    pub resource: &'a str,
}

impl std::fmt::Display for Subject<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.group {
            "" => f.write_str(self.resource),
            group => write!(f, "{}.{group}", self.resource),
        }
    }
}

impl Subject<'_> {
    fn details(self, name: &str) -> Details {
        Details {
            name: name.to_owned(),
            group: self.group.to_owned(),
            kind: self.resource.to_owned(),
            ..Details::default()
        }
    }
}

impl Status {
    /// The HTTP status code with which it is sent.
    pub fn code(&self) -> StatusCode {
        self.code.and_then(|code| StatusCode::from_u16(code).ok()).unwrap_or(StatusCode::OK)
    }

    fn failure(code: u16, reason: &'static str, message: String, details: Option<Details>) -> Box<Self> {
        Box::new(Self {
            kind: "Status",
            api_version: "v1",
            metadata: ListMeta {},
            status: "Failure",
            message,
            reason,
            details,
            code: Some(code),
        })
    }

    pub fn success(subject: Subject<'_>, name: &str, uid: &str) -> Self {
        let details = Details { uid: uid.to_owned(), ..subject.details(name) };
        let mut status = *Self::failure(200, "", String::new(), Some(details));
        (status.status, status.code) = ("Success", None);
        status
    }

    pub fn bad_request(message: impl Into<String>) -> Box<Self> {
        Self::failure(400, "BadRequest", message.into(), None)
    }

    pub fn unauthorized() -> Box<Self> {
        Self::failure(401, "Unauthorized", "Unauthorized".to_owned(), None)
    }

    pub fn forbidden(subject: Subject<'_>, name: &str, why: &str) -> Box<Self> {
        let message = match (subject.resource, name) {
            ("", _) => format!("forbidden: {why}"),
            (_, "") => format!("{subject} is forbidden: {why}"),
            _ => format!("{subject} {} is forbidden: {why}", quoted(name)),
        };
        Self::failure(403, "Forbidden", message, Some(subject.details(name)))
    }

    /// An admission policy has refused the request.
    pub fn denied(subject: Subject<'_>, name: &str, by: &str, why: &str) -> Box<Self> {
        let message = format!("{by} denied request: {why}");
        let mut status = Self::forbidden(subject, name, &message);
        let cause = Cause { reason: "", message, field: String::new() };
        status.details.get_or_insert_default().causes.push(cause);
        status
    }

    pub fn not_found(subject: Subject<'_>, name: &str) -> Box<Self> {
        Self::failure(404, "NotFound", format!("{subject} {} not found", quoted(name)), Some(subject.details(name)))
    }

    /// The group exists, but has no such resource.
    pub fn no_such_resource() -> Box<Self> {
        let message = "the server could not find the requested resource".to_owned();
        Self::failure(404, "NotFound", message, Some(Details::default()))
    }

    pub fn method_not_allowed() -> Box<Self> {
        let message = "the server does not allow this method on the requested resource".to_owned();
        Self::failure(405, "MethodNotAllowed", message, Some(Details::default()))
    }

    pub fn not_acceptable(message: String) -> Box<Self> {
        Self::failure(406, "NotAcceptable", message, None)
    }

    /// As `not_acceptable`, from kube-apiserver's router.
    pub fn no_representation(accepted: &str) -> Box<Self> {
        let message = format!("406: Not Acceptable\n\nAvailable representations: {accepted}");
        Self::failure(406, "NotAcceptable", message, Some(Details::default()))
    }

    pub fn already_exists(subject: Subject<'_>, name: &str) -> Box<Self> {
        let message = format!("{subject} {} already exists", quoted(name));
        Self::failure(409, "AlreadyExists", message, Some(subject.details(name)))
    }

    /// No free name was found for a `generateName`.
    pub fn generated_name_exists(subject: Subject<'_>, name: &str) -> Box<Self> {
        let message = format!(
            "{subject} {} already exists, the server was not able to generate a unique name for the object",
            quoted(name)
        );
        let details = Details { retry_after_seconds: Some(1), ..subject.details(name) };
        Self::failure(409, "AlreadyExists", message, Some(details))
    }

    pub fn conflict(subject: Subject<'_>, name: &str, why: &str) -> Box<Self> {
        let message = format!("Operation cannot be fulfilled on {subject} {}: {why}", quoted(name));
        Self::failure(409, "Conflict", message, Some(subject.details(name)))
    }

    pub fn apply_conflict(message: String, causes: Vec<Cause>) -> Box<Self> {
        Self::failure(409, "Conflict", message, Some(Details { causes, ..Details::default() }))
    }

    pub fn expired(message: String) -> Box<Self> {
        Self::failure(410, "Expired", message, None)
    }

    pub fn too_large(limit: usize) -> Box<Self> {
        let message = format!("Request entity too large: limit is {limit}");
        Self::failure(413, "RequestEntityTooLarge", message, None)
    }

    pub fn unsupported_media_type(accepted: &str) -> Box<Self> {
        let message =
            format!("the body of the request was in an unknown format - accepted media types include: {accepted}");
        Self::failure(415, "UnsupportedMediaType", message, None)
    }

    /// For a PATCH the answer comes from kube-apiserver's router, which has a shorter message.
    pub fn unsupported_patch_type() -> Box<Self> {
        let message = "415: Unsupported Media Type".to_owned();
        Self::failure(415, "UnsupportedMediaType", message, Some(Details::default()))
    }

    pub fn invalid(subject: Subject<'_>, name: &str, errors: &[FieldError]) -> Box<Self> {
        let message = format!("{subject} {} is invalid: {}", quoted(name), summary(errors));
        let causes = errors.iter().map(Cause::from).collect();
        Self::failure(422, "Invalid", message, Some(Details { causes, ..subject.details(name) }))
    }

    /// A JSON patch does not apply. kube-apiserver does not report why.
    pub fn patch_does_not_apply() -> Box<Self> {
        let message = "the server rejected our request due to an error in our request".to_owned();
        Self::failure(422, "Invalid", message, Some(Details::default()))
    }

    /// An error that kube-apiserver does not expect. It has a text and no reason.
    pub fn unexpected(message: impl Into<String>) -> Box<Self> {
        Self::failure(500, "", message.into(), None)
    }

    pub fn resource_version_too_large(asked: u64, current: u64) -> Box<Self> {
        let cause = Cause {
            reason: "ResourceVersionTooLarge",
            message: "Too large resource version".to_owned(),
            field: String::new(),
        };
        let details = Details { causes: vec![cause], retry_after_seconds: Some(1), ..Details::default() };
        let message = format!("Timeout: Too large resource version: {asked}, current: {current}");
        Self::failure(504, "Timeout", message, Some(details))
    }
}
