//! The parameters of a request.

use axum::http::Uri;

use crate::go::quoted;
use crate::invalid::FieldError;
use crate::resource::Resource;
use crate::select::Selection;
use crate::status::{Result, Status, Subject};

/// kube-apiserver's limit.
const FIELD_MANAGER_BYTES_MAX: usize = 128;

/// The parameters as they were sent.
#[derive(Clone, Debug)]
pub struct Query(Vec<(String, String)>);

impl Query {
    pub fn of(uri: &Uri) -> Self {
        let pairs = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
        Self(pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect())
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }

    /// Whether a flag is set: it is present, and not `false` or `0`.
    pub fn flag(&self, name: &str) -> bool {
        self.given(name).unwrap_or_default()
    }

    fn given(&self, name: &str) -> Option<bool> {
        self.get(name).map(|value| !matches!(value.to_lowercase().as_str(), "false" | "0"))
    }

    fn number(&self, name: &str) -> Result<Option<i64>> {
        let Some(text) = self.get(name).filter(|text| !text.is_empty()) else { return Ok(None) };
        let number = text
            .parse()
            .map_err(|_| Status::bad_request(format!("strconv.ParseInt: parsing {}: invalid syntax", quoted(text))))?;
        Ok(Some(number))
    }
}

/// How strictly unknown fields are treated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FieldValidation {
    Ignore,
    Warn,
    Strict,
}

/// The parameters of a write.
#[derive(Clone, Debug)]
pub struct WriteOptions {
    pub field_manager: String,
    pub dry_run: bool,
    pub field_validation: FieldValidation,
    /// `None` if it is not given.
    pub force: Option<bool>,
}

impl WriteOptions {
    /// Reads the parameters. `kind` is kube-apiserver's name for them, and `apply` is present for a patch: whether it is an
    /// apply.
    ///
    /// # Errors
    /// 422, with all errors.
    pub fn of(query: &Query, kind: &str, apply: Option<bool>) -> Result<Self> {
        let mut errors = Vec::new();
        let field_manager = query.text("fieldManager").to_owned();
        let force = query.given("force");
        match apply {
            Some(true) if field_manager.is_empty() => {
                errors.push(FieldError::required("fieldManager", "is required for apply patch"));
            }
            Some(false) if force.is_some() => {
                errors.push(FieldError::forbidden("force", "may not be specified for non-apply patch"));
            }
            _ => {}
        }
        if field_manager.len() > FIELD_MANAGER_BYTES_MAX {
            errors.push(FieldError::too_long("fieldManager", FIELD_MANAGER_BYTES_MAX));
        }
        for (at, c) in field_manager.char_indices().filter(|(_, c)| c.is_control()) {
            let detail = format!("invalid character U+{:04X} (at position {at})", c as u32);
            errors.push(FieldError::invalid("fieldManager", quoted(&field_manager), &detail));
        }
        let dry_run = dry_run(query.0.iter().filter(|(name, _)| name == "dryRun").map(|(_, value)| value), &mut errors);
        let field_validation = match query.text("fieldValidation") {
            "" | "Warn" => FieldValidation::Warn,
            "Ignore" => FieldValidation::Ignore,
            "Strict" => FieldValidation::Strict,
            other => {
                let supported = ["", "Ignore", "Strict", "Warn"];
                errors.push(FieldError::not_supported("fieldValidation", quoted(other), &supported));
                FieldValidation::Warn
            }
        };
        invalid(kind, &errors)?;
        Ok(Self { field_manager, dry_run, field_validation, force })
    }
}

/// Whether the write is a dry run.
pub fn dry_run<'a>(values: impl Iterator<Item = &'a String>, errors: &mut Vec<FieldError>) -> bool {
    let values: Vec<&String> = values.collect();
    if values.iter().any(|value| *value != "All") {
        let shown: Vec<_> = values.iter().map(|value| quoted(value)).collect();
        errors.push(FieldError::not_supported("dryRun", format!("[{}]", shown.join(",")), &["All"]));
    }
    !values.is_empty()
}

/// Fails if there are errors in the options.
///
/// # Errors
/// 422, if there are any.
pub fn invalid(kind: &str, errors: &[FieldError]) -> Result<()> {
    let subject = Subject { group: "meta.k8s.io", resource: kind };
    if errors.is_empty() { Ok(()) } else { Err(Status::invalid(subject, "", errors)) }
}

/// How a list relates to the given `resourceVersion`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Match {
    Unset,
    Exact,
    NotOlderThan,
}

/// The parameters of a list or a watch.
#[derive(Clone, Debug)]
pub struct ListOptions {
    pub selection: Selection,
    /// As it was given. Empty is not the same as 0.
    pub resource_version: String,
    pub version_match: Match,
    pub bookmarks: bool,
    pub initial_events: Option<bool>,
    pub timeout_seconds: Option<u64>,
}

impl ListOptions {
    /// # Errors
    /// 400 or 422.
    pub fn of(query: &Query, resource: Resource, watch: bool) -> Result<Self> {
        let timeout = query.number("timeoutSeconds")?;
        let given = query.text("resourceVersionMatch");
        let mut options = Self {
            selection: Selection::of(query.text("labelSelector"), query.text("fieldSelector"), resource)?,
            resource_version: query.text("resourceVersion").to_owned(),
            version_match: match given {
                "Exact" => Match::Exact,
                "NotOlderThan" => Match::NotOlderThan,
                _ => Match::Unset,
            },
            bookmarks: query.flag("allowWatchBookmarks"),
            initial_events: query.given("sendInitialEvents"),
            timeout_seconds: timeout.and_then(|timeout| u64::try_from(timeout).ok()).filter(|timeout| *timeout > 0),
        };
        if !watch && !query.text("continue").is_empty() {
            // Lists are whole, so no client was given such a token.
            return Err(Status::bad_request("invalid continue token: continue key is not valid"));
        }
        let legacy = matches!(options.resource_version.as_str(), "" | "0");
        if watch && legacy && options.initial_events.is_none() && given.is_empty() {
            // Without these parameters a watch has always begun like this.
            (options.initial_events, options.version_match) = (Some(true), Match::NotOlderThan);
            return Ok(options);
        }
        let errors = if watch { options.watch_errors(given) } else { options.list_errors(given) };
        invalid("ListOptions", &errors)?;
        Ok(options)
    }

    fn list_errors(&self, given: &str) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let mut forbidden = |when: bool, field: &str, why: &str| {
            if when {
                errors.push(FieldError::forbidden(field, why));
            }
        };
        let (field, told) = ("resourceVersionMatch", !given.is_empty());
        let unset = "resourceVersionMatch is forbidden unless resourceVersion is provided";
        forbidden(told && self.resource_version.is_empty(), field, unset);
        let exact_zero = self.version_match == Match::Exact && self.resource_version == "0";
        forbidden(exact_zero, field, "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"");
        forbidden(self.initial_events.is_some(), "sendInitialEvents", "sendInitialEvents is forbidden for list");
        if told && self.version_match == Match::Unset {
            errors.push(FieldError::not_supported(field, quoted(given), &["Exact", "NotOlderThan", ""]));
        }
        errors
    }

    fn watch_errors(&self, given: &str) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let field = "resourceVersionMatch";
        if self.initial_events.is_some() && self.version_match != Match::NotOlderThan {
            let why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
            errors.push(FieldError::forbidden(field, why));
        }
        if given.is_empty() {
            return errors;
        }
        if self.initial_events.is_none() {
            let why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
            errors.push(FieldError::forbidden(field, why));
        }
        if self.version_match != Match::NotOlderThan {
            errors.push(FieldError::not_supported(field, quoted(given), &["NotOlderThan"]));
        }
        errors
    }
}

/// Parses a `resourceVersion`; an empty one is 0.
///
/// # Errors
/// What is wrong with it.
pub fn revision(text: &str) -> std::result::Result<u64, String> {
    if text.is_empty() {
        return Ok(0);
    }
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let kind = if digits { "value out of range" } else { "invalid syntax" };
    let number = if digits { text.parse().ok() } else { None };
    number.ok_or_else(|| format!("strconv.ParseUint: parsing {}: {kind}", quoted(text)))
}
