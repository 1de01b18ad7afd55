//! Selectors: which objects a list or a watch is about.

mod labels;

pub use labels::LabelSelector;

use serde_json::Value;

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
    /// 400, if one of them cannot be read or asks for a field that cannot be selected by.
    pub fn of(labels: &str, fields: &str, resource: Resource) -> Result<Self> {
        let labels = LabelSelector::parse(labels).map_err(Status::bad_request)?;
        let fields = FieldSelector::parse(fields).map_err(Status::bad_request)?;
        for Term { field, .. } in &fields.0 {
            let known = field == "metadata.name" || field == "metadata.namespace" && resource.namespaced();
            if !known && !resource.selectable().contains(&field.as_str()) {
                return Err(Status::bad_request(match resource {
                    Resource::Leases | Resource::ConfigMaps => format!(
                        "\"{field}\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
                    ),
                    Resource::Events | Resource::Namespaces => format!("field label not supported: {field}"),
                }));
            }
        }
        Ok(Self { fields, labels })
    }

    pub fn is_empty(&self) -> bool {
        self.fields.0.is_empty() && self.labels.is_empty()
    }

    pub fn matches(&self, object: &Value) -> bool {
        self.fields.matches(object) && self.labels.matches(object)
    }
}

/// Which objects, by fields: all terms have to match.
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
    /// In the words of kube-apiserver.
    pub fn parse(text: &str) -> std::result::Result<Self, String> {
        let mut terms = Vec::new();
        for part in split(text).into_iter().filter(|part| !part.is_empty()) {
            let at = part.find(['=', '!']).filter(|at| part[*at..].starts_with(['=']) || part[*at..].starts_with("!="));
            let Some(at) = at else {
                return Err(format!("invalid selector: '{text}'; can't understand '{part}'"));
            };
            let (field, rest) = part.split_at(at);
            let (equal, value) = match rest.strip_prefix("!=") {
                Some(value) => (false, value),
                None => (true, rest.strip_prefix("==").or_else(|| rest.strip_prefix('=')).unwrap_or(rest)),
            };
            terms.push(Term { field: field.to_owned(), value: unescaped(value)?, equal });
        }
        Ok(Self(terms))
    }

    /// The one value that a field has to have.
    pub fn exactly(&self, field: &str) -> Option<&str> {
        self.0.iter().find(|term| term.equal && term.field == field).map(|term| term.value.as_str())
    }

    /// The same, and of that name.
    pub fn and_name(mut self, name: &str) -> Self {
        self.0.push(Term { field: "metadata.name".to_owned(), value: name.to_owned(), equal: true });
        self
    }

    fn matches(&self, object: &Value) -> bool {
        self.0.iter().all(|term| (field(object, &term.field) == term.value) == term.equal)
    }
}

/// The value of a field; an absent one is empty.
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

fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut from, mut escaped) = (Vec::new(), 0, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ',' => {
                parts.push(&text[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[from..]);
    parts
}

fn unescaped(text: &str) -> std::result::Result<String, String> {
    let mut value = String::new();
    let mut escaped = false;
    for c in text.chars() {
        match c {
            '\\' | ',' | '=' if escaped => value.push(c),
            _ if escaped => return Err(format!("invalid field selector: invalid escape sequence: \\{c}")),
            '\\' => {
                escaped = true;
                continue;
            }
            ',' | '=' => {
                return Err(format!("invalid field selector: unescaped character in value: {}", c as u32));
            }
            _ => value.push(c),
        }
        escaped = false;
    }
    if escaped { Err("invalid field selector: invalid escape sequence: \\".to_owned()) } else { Ok(value) }
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
    fn what_is_no_selector_is_refused() {
        for (selector, error) in [
            ("a", "invalid selector: 'a'; can't understand 'a'"),
            ("a=b=c", "invalid field selector: unescaped character in value: 61"),
            ("a=\\x", "invalid field selector: invalid escape sequence: \\x"),
        ] {
            assert_eq!(FieldSelector::parse(selector).unwrap_err(), error);
        }
        assert_eq!(FieldSelector::parse("a=b\\,c").unwrap().exactly("a"), Some("b,c"));
    }
}
