//! What a variant's Role grants.

use anyhow::{Context, Result, bail};
use serde_json::Value;
use still_leading_testbed::manifests;

use crate::record::Rule;

/// The rules of every Role in an install manifest.
pub(super) fn rules(yaml: &str) -> Result<Vec<Rule>> {
    let mut rules = Vec::new();
    for object in manifests::parse(yaml)? {
        if object.types.as_ref().is_some_and(|types| types.kind == "Role") {
            let granted = object.data["rules"].as_array().context("a Role has no rules")?;
            rules.extend(granted.iter().map(rule));
        }
    }
    if rules.is_empty() {
        bail!("the manifest has no Role");
    }
    Ok(rules)
}

fn rule(rule: &Value) -> Rule {
    let list = |key: &str| {
        let values = rule[key].as_array().map(Vec::as_slice).unwrap_or_default();
        values.iter().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>()
    };
    Rule { resources: list("resources"), verbs: list("verbs"), by_name: !list("resourceNames").is_empty() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLE: &str = "
kind: Role
apiVersion: rbac.authorization.k8s.io/v1
metadata: {name: x}
rules:
- {apiGroups: [coordination.k8s.io], resources: [leases], verbs: [get, patch], resourceNames: [x]}
- {apiGroups: [coordination.k8s.io], resources: [leases], verbs: [create]}
---
kind: ServiceAccount
apiVersion: v1
metadata: {name: x}
";

    #[test]
    fn each_rule_tells_its_verbs_and_whether_it_holds_for_one_name_only() {
        let leases = vec!["leases".to_owned()];
        let by_name = Rule { resources: leases.clone(), verbs: vec!["get".into(), "patch".into()], by_name: true };
        let create = Rule { resources: leases, verbs: vec!["create".into()], by_name: false };
        assert_eq!(rules(ROLE).unwrap(), [by_name, create]);
    }

    #[test]
    fn a_manifest_without_a_role_is_an_error_not_no_rights() {
        assert!(rules("{kind: ServiceAccount, apiVersion: v1, metadata: {name: x}}").is_err());
    }
}
