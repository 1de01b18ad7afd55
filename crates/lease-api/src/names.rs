//! The names that kube-apiserver accepts, and its messages about others.

const LABEL: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const KEY: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";

/// A rule for names. It returns what is wrong with a name, in sentences.
pub type Rule = fn(&str) -> Vec<String>;

fn mismatch(message: &str, pattern: &str, examples: &[&str]) -> String {
    let examples = examples.iter().map(|example| format!("'{example}'")).collect::<Vec<_>>().join(",  or ");
    format!("{message} (e.g. {examples}, regex used for validation is '{pattern}')")
}

/// Returns the message about a name that is too long. kube-apiserver counts bytes, also where it says characters.
fn too_long(max: usize, what: &str) -> String {
    format!("must be no more than {max} {what}")
}

fn is_label(name: &str) -> bool {
    let inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    name.bytes().all(inside) && !name.is_empty() && !name.starts_with('-') && !name.ends_with('-')
}

/// The rule for namespaces.
pub fn dns_label(name: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if name.len() > 63 {
        wrong.push(too_long(63, "characters"));
    }
    if !is_label(name) {
        wrong.push(if name.split('.').all(is_label) {
            "must not contain dots".to_owned()
        } else {
            let message = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', \
                           and must start and end with an alphanumeric character";
            mismatch(message, LABEL, &["my-name", "123-abc"])
        });
    }
    wrong
}

/// The rule for Leases and most other objects.
pub fn dns_subdomain(name: &str) -> Vec<String> {
    subdomain(name, "characters")
}

fn subdomain(name: &str, counted: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if name.len() > 253 {
        wrong.push(too_long(253, counted));
    }
    if !name.split('.').all(is_label) {
        let message = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', \
                       and must start and end with an alphanumeric character";
        wrong.push(mismatch(message, &format!("{LABEL}(\\.{LABEL})*"), &["example.com"]));
    }
    wrong
}

/// The rule for any name in a path.
pub fn path_segment(name: &str) -> Vec<String> {
    if matches!(name, "." | "..") {
        return vec![format!("may not be '{name}'")];
    }
    let wrong = ["/", "%"].into_iter().filter(|illegal| name.contains(illegal));
    wrong.map(|illegal| format!("may not contain '{illegal}'")).collect()
}

fn is_key(name: &str) -> bool {
    let inside = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let ends = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    name.bytes().all(inside) && ends(name.bytes().next()) && ends(name.bytes().last())
}

/// The rule for keys of labels and annotations, and for finalizers.
pub fn qualified(name: &str) -> Vec<String> {
    let message = "must consist of alphanumeric characters, '-', '_' or '.', \
                   and must start and end with an alphanumeric character";
    let mismatch = mismatch(message, KEY, &["MyName", "my.name", "123-abc"]);
    let mut wrong = Vec::new();
    let name = match name.split('/').collect::<Vec<_>>()[..] {
        [name] => name,
        [prefix, name] => {
            if prefix.is_empty() {
                wrong.push("prefix part must be non-empty".to_owned());
            } else {
                wrong.extend(subdomain(prefix, "bytes").into_iter().map(|what| format!("prefix part {what}")));
            }
            name
        }
        _ => {
            let or = "with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";
            return vec![format!("a valid label key {mismatch} {or}")];
        }
    };
    if name.is_empty() {
        wrong.push("name part must be non-empty".to_owned());
    } else if name.len() > 63 {
        wrong.push(format!("name part {}", too_long(63, "bytes")));
    }
    if !is_key(name) {
        wrong.push(format!("name part {mismatch}"));
    }
    wrong
}

/// The rule for values of labels.
pub fn label_value(value: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if value.len() > 63 {
        wrong.push(too_long(63, "bytes"));
    }
    if !value.is_empty() && !is_key(value) {
        let message = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', \
                       and must start and end with an alphanumeric character";
        wrong.push(mismatch(message, &format!("({KEY})?"), &["MyValue", "my_value", "12345"]));
    }
    wrong
}

/// The rule for keys of a ConfigMap.
pub fn config_key(key: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if key.len() > 253 {
        wrong.push(too_long(253, "characters"));
    }
    let inside = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if key.is_empty() || !key.bytes().all(inside) {
        let message = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'";
        wrong.push(mismatch(message, "[-._a-zA-Z0-9]+", &["key.name", "KEY_NAME", "key-name"]));
    }
    match key {
        "." | ".." => wrong.push(format!("must not be '{key}'")),
        _ if key.starts_with("..") => wrong.push("must not start with '..'".to_owned()),
        _ => {}
    }
    wrong
}

/// Applies a rule to a prefix, as to a name that the prefix may become.
pub fn as_prefix(rule: Rule, prefix: &str) -> Vec<String> {
    match prefix.strip_suffix('-') {
        // kube-apiserver replaces the dash and the character before it.
        Some(rest) if !rest.is_empty() => {
            let mut name: String = rest.to_owned();
            name.pop();
            name.push('a');
            rule(&name)
        }
        _ => rule(prefix),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lease_names_are_dns_subdomains() {
        for name in ["a", "a.b-c.d", "0"] {
            assert!(dns_subdomain(name).is_empty(), "{name}");
        }
        for name in ["", "A", "a_b", "-a", "a-", "a..b", "é"] {
            assert_eq!(dns_subdomain(name).len(), 1, "{name}");
        }
        assert_eq!(
            dns_subdomain("Q_q"),
            [
                "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must \
                 start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
                 '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
            ]
        );
        assert_eq!(dns_subdomain(&"a".repeat(254)), ["must be no more than 253 characters"]);
    }

    #[test]
    fn a_label_key_may_have_a_prefix() {
        assert!(qualified("example.com/My_Name").is_empty());
        assert_eq!(qualified("/a"), ["prefix part must be non-empty"]);
        assert_eq!(qualified("a/b/c").len(), 1);
        assert!(label_value("").is_empty());
        assert_eq!(label_value("a b").len(), 1);
    }
}
