//! Selectors: they choose the objects of a list or a watch.

mod labels;

pub use labels::LabelSelector;

use serde_json::Value;

use crate::convert::stored_field;
use crate::resource::Resource;
use crate::status::{Result, Status};

/// Both selectors of a request.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    pub fields: FieldSelector,
    pub labels: LabelSelector,
}

impl Selection {
    /// # Errors
    /// 400, if one of them cannot be parsed, or has a field that a selector may not name.
    pub fn of(labels: &str, fields: &str, resource: Resource) -> Result<Self> {
        let labels = LabelSelector::parse(labels).map_err(Status::bad_request)?;
        let mut fields = FieldSelector::parse(fields).map_err(Status::bad_request)?;
        for Term { field, .. } in &mut fields.0 {
            let known = field == "metadata.name" || field == "metadata.namespace" && resource.namespaced();
            if !known && !resource.selectable().contains(&field.as_str()) {
                return Err(Status::bad_request(match resource {
                    Resource::Leases | Resource::ConfigMaps => format!(
                        "\"{field}\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
                    ),
                    Resource::Events | Resource::K8sEvents | Resource::Namespaces => {
                        format!("field label not supported: {field}")
                    }
                }));
            }
            *field = stored_field(resource, field);
        }
        Ok(Self { fields, labels })
    }

    pub fn matches(&self, object: &Value) -> bool {
        self.fields.matches(object) && self.labels.matches(object)
    }
}

/// Chooses objects by fields. All terms have to match.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FieldSelector(Vec<Term>);

#[derive(Clone, Debug, PartialEq)]
struct Term {
    field: String,
    value: String,
    equal: bool,
}

impl FieldSelector {
    /// # Errors
    /// The message of kube-apiserver.
    pub fn parse(text: &str) -> std::result::Result<Self, String> {
        let mut terms = Vec::new();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let at = part.find(['=', '!']).filter(|at| part[*at..].starts_with(['=']) || part[*at..].starts_with("!="));
            let Some(at) = at else {
                return Err(format!("invalid selector: '{text}'; can't understand '{part}'"));
            };
            let (field, rest) = part.split_at(at);
            let (equal, value) = match rest.strip_prefix("!=") {
                Some(value) => (false, value),
                None => (true, rest.strip_prefix("==").or_else(|| rest.strip_prefix('=')).unwrap_or(rest)),
            };
            terms.push(Term { field: field.to_owned(), value: value.to_owned(), equal });
        }
        Ok(Self(terms))
    }

    /// Returns the value that a field must have, if there is exactly one.
    pub fn exactly(&self, field: &str) -> Option<&str> {
        self.0.iter().find(|term| term.equal && term.field == field).map(|term| term.value.as_str())
    }

    /// Adds the term that the name must be `name`.
    pub fn and_name(mut self, name: &str) -> Self {
        self.0.push(Term { field: "metadata.name".to_owned(), value: name.to_owned(), equal: true });
        self
    }

    fn matches(&self, object: &Value) -> bool {
        self.0.iter().all(|term| (field(object, &term.field) == term.value) == term.equal)
    }
}

/// Returns the value of a field; empty if it is absent.
fn field(object: &Value, path: &str) -> String {
    let at = |path: &str| {
        let pointer = format!("/{}", path.replace('.', "/"));
        object.pointer(&pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    match path {
        "source" => match at("source.component") {
            component if component.is_empty() => at("reportingComponent"),
            component => component,
        },
        _ => at(path),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn matches(selector: &str) -> bool {
        let object = json!({"metadata": {"name": "a", "namespace": "b"}});
        FieldSelector::parse(selector).unwrap().matches(&object)
    }

    #[test]
    fn fields_select_by_equality() {
        for selector in ["", "metadata.name=a", "metadata.name==a,metadata.namespace!=c", "metadata.name!=b"] {
            assert!(matches(selector), "{selector}");
        }
        for selector in ["metadata.name=b", "metadata.name=a,metadata.namespace=c", "metadata.name!=a", "reason=x"] {
            assert!(!matches(selector), "{selector}");
        }
        assert_eq!(FieldSelector::parse("metadata.name=a").unwrap().exactly("metadata.name"), Some("a"));
        assert_eq!(FieldSelector::parse("metadata.name!=a").unwrap().exactly("metadata.name"), None);
    }

    #[test]
    fn an_invalid_selector_is_refused() {
        let error = FieldSelector::parse("a").unwrap_err();
        assert_eq!(error, "invalid selector: 'a'; can't understand 'a'");
    }
}
