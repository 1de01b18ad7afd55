//! Label selectors: equality and sets.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::go::quoted;
use crate::names;

/// Chooses objects by labels. All requirements must hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LabelSelector(Vec<Requirement>);

#[derive(Clone, Debug, PartialEq)]
struct Requirement {
    key: String,
    is: Is,
}

#[derive(Clone, Debug, PartialEq)]
enum Is {
    In(BTreeSet<String>),
    NotIn(BTreeSet<String>),
    There,
    NotThere,
}

type Result<T> = std::result::Result<T, String>;

impl LabelSelector {
    /// # Errors
    /// The message of kube-apiserver.
    pub fn parse(text: &str) -> Result<Self> {
        let tokens = tokens(text);
        let mut parser = Parser { tokens: &tokens };
        let mut requirements = Vec::new();
        loop {
            match parser.peek() {
                "" => return Ok(Self(requirements)),
                token if is_identifier(token) || token == "!" => {}
                token => return Err(format!("found '{token}', expected: !, identifier, or 'end of string'")),
            }
            let requirement = parser.requirement().map_err(|error| format!("unable to parse requirement: {error}"))?;
            requirements.push(requirement);
            match parser.next() {
                "" => return Ok(Self(requirements)),
                "," if is_identifier(parser.peek()) || parser.peek() == "!" => {}
                "," => return Err(format!("found '{}', expected: identifier after ','", parser.peek())),
                token => return Err(format!("found '{token}', expected: ',' or 'end of string'")),
            }
        }
    }

    pub fn matches(&self, object: &Value) -> bool {
        let labels = object.pointer("/metadata/labels");
        self.0.iter().all(|Requirement { key, is }| {
            let value = labels.and_then(|labels| labels.get(key)).and_then(Value::as_str);
            match is {
                Is::In(values) => value.is_some_and(|value| values.contains(value)),
                Is::NotIn(values) => value.is_none_or(|value| !values.contains(value)),
                Is::There => value.is_some(),
                Is::NotThere => value.is_none(),
            }
        })
    }
}

fn special(c: char) -> bool {
    matches!(c, '=' | '!' | '(' | ')' | ',' | '>' | '<')
}

fn is_identifier(token: &str) -> bool {
    !token.is_empty() && !token.starts_with(special)
}

fn tokens(text: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start_matches([' ', '\t', '\r', '\n']);
    while let Some(first) = rest.chars().next() {
        let end = match first {
            '=' | '!' if rest[1..].starts_with('=') => 2,
            c if special(c) => 1,
            _ => rest.find(|c| special(c) || matches!(c, ' ' | '\t' | '\r' | '\n')).unwrap_or(rest.len()),
        };
        let (token, after) = rest.split_at(end);
        tokens.push(token);
        rest = after.trim_start_matches([' ', '\t', '\r', '\n']);
    }
    tokens
}

struct Parser<'a> {
    tokens: &'a [&'a str],
}

impl<'a> Parser<'a> {
    /// Returns the next token; empty at the end.
    fn peek(&self) -> &'a str {
        self.tokens.first().copied().unwrap_or_default()
    }

    fn next(&mut self) -> &'a str {
        let token = self.peek();
        self.tokens = self.tokens.get(1..).unwrap_or_default();
        token
    }

    fn requirement(&mut self) -> Result<Requirement> {
        let mut token = self.next();
        let not = token == "!";
        if not {
            token = self.next();
        }
        if !is_identifier(token) {
            return Err(format!("found '{token}', expected: identifier"));
        }
        let key = token.to_owned();
        let wrong = names::qualified(&key);
        if !wrong.is_empty() {
            return Err(format!("<nil>: Invalid value: {}: {}", quoted(&key), wrong.join("; ")));
        }
        if not {
            return Ok(Requirement { key, is: Is::NotThere });
        }
        if matches!(self.peek(), "" | ",") {
            return Ok(Requirement { key, is: Is::There });
        }
        let is = match self.next() {
            "=" | "==" => Is::In([self.value(&key)?].into()),
            "!=" => Is::NotIn([self.value(&key)?].into()),
            "in" => Is::In(self.values(&key)?),
            "notin" => Is::NotIn(self.values(&key)?),
            token => return Err(format!("found '{token}', expected: in, notin, =, ==, !=, gt, lt")),
        };
        Ok(Requirement { key, is })
    }

    fn value(&mut self, key: &str) -> Result<String> {
        if matches!(self.peek(), "" | ",") {
            return Ok(String::new());
        }
        let token = self.next();
        if is_identifier(token) { checked(key, token) } else { Err(format!("found '{token}', expected: identifier")) }
    }

    fn values(&mut self, key: &str) -> Result<BTreeSet<String>> {
        let token = self.next();
        if token != "(" {
            return Err(format!("found '{token}' expected: '('"));
        }
        let mut values = BTreeSet::new();
        // Nothing between two commas is the empty value.
        let mut after_comma = true;
        loop {
            match self.next() {
                ")" => {
                    if after_comma {
                        values.insert(String::new());
                    }
                    return Ok(values);
                }
                "," => {
                    if after_comma {
                        values.insert(String::new());
                    }
                    after_comma = true;
                }
                token if is_identifier(token) && after_comma => {
                    values.insert(checked(key, token)?);
                    after_comma = false;
                }
                token if after_comma => return Err(format!("found '{token}', expected: ',', or identifier")),
                token => return Err(format!("found '{token}', expected: ',' or ')'")),
            }
        }
    }
}

fn checked(key: &str, value: &str) -> Result<String> {
    let wrong = names::label_value(value);
    if wrong.is_empty() {
        return Ok(value.to_owned());
    }
    Err(format!("values[0][{key}]: Invalid value: {}: {}", quoted(value), wrong.join("; ")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn labels_select_by_equality_and_by_sets() {
        let object = json!({"metadata": {"labels": {"a": "1", "b": "x"}}});
        let matches = |selector: &str| LabelSelector::parse(selector).unwrap().matches(&object);
        for selector in ["", "a", "a=1", "a==1,b!=y", "!c", "a in (1, 2)", "b notin (y)", "c notin (y)", "c!=1"] {
            assert!(matches(selector), "{selector}");
        }
        for selector in ["c", "a=2", "!a", "a in (2,3)", "b notin (x,y)", "a=", "a in ()"] {
            assert!(!matches(selector), "{selector}");
        }
    }

    #[test]
    fn an_invalid_selector_is_refused() {
        for selector in [
            "a b",
            "a in",
            "a in (",
            "a in (1",
            ",",
            "a,",
            "a=(",
            "a/b/c",
            "a=b c",
            "(",
            "a in (1 2)",
            "=",
            "é=1",
            "a>0",
        ] {
            assert!(LabelSelector::parse(selector).is_err(), "{selector}");
        }
    }
}
