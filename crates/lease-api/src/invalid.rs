//! Errors of single fields, in the words of kube-apiserver's validation.

use crate::go::quoted;

/// An error of one field.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldError {
    pub reason: &'static str,
    pub field: String,
    /// The message without the name of the field.
    pub body: String,
}

impl FieldError {
    /// Makes the error of an invalid value. `value` is shown as it is, so a string must be quoted.
    pub fn invalid(field: impl Into<String>, value: impl std::fmt::Display, detail: &str) -> Self {
        Self {
            reason: "FieldValueInvalid",
            field: field.into(),
            body: format!("Invalid value: {value}{}", tail(detail)),
        }
    }

    pub fn required(field: impl Into<String>, detail: &str) -> Self {
        Self { reason: "FieldValueRequired", field: field.into(), body: format!("Required value{}", tail(detail)) }
    }

    pub fn forbidden(field: impl Into<String>, detail: &str) -> Self {
        Self { reason: "FieldValueForbidden", field: field.into(), body: format!("Forbidden{}", tail(detail)) }
    }

    pub fn too_long(field: impl Into<String>, max: usize) -> Self {
        let body = format!("Too long: may not be more than {max} bytes");
        Self { reason: "FieldValueTooLong", field: field.into(), body }
    }

    pub fn not_supported(field: impl Into<String>, value: impl std::fmt::Display, supported: &[&str]) -> Self {
        let supported: Vec<_> = supported.iter().map(|one| quoted(one)).collect();
        let body = format!("Unsupported value: {value}: supported values: {}", supported.join(", "));
        Self { reason: "FieldValueNotSupported", field: field.into(), body }
    }
}

impl std::fmt::Display for FieldError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.field, self.body)
    }
}

fn tail(detail: &str) -> String {
    if detail.is_empty() { String::new() } else { format!(": {detail}") }
}

/// Joins errors into one text, each once.
pub fn summary(errors: &[FieldError]) -> String {
    let mut texts: Vec<String> = Vec::new();
    for text in errors.iter().map(ToString::to_string) {
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    if texts.len() == 1 { texts.swap_remove(0) } else { format!("[{}]", texts.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_error_stands_alone_and_several_in_brackets_each_once() {
        let (one, other) = (FieldError::invalid("a", 0, "b"), FieldError::required("c", ""));
        assert_eq!(summary(std::slice::from_ref(&one)), "a: Invalid value: 0: b");
        assert_eq!(summary(&[one.clone(), one.clone()]), "a: Invalid value: 0: b");
        assert_eq!(summary(&[one, other]), "[a: Invalid value: 0: b, c: Required value]");
    }
}
