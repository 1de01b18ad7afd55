//! What somebody may do, a line for each thing, so that two lists of it can be compared.

use std::collections::BTreeSet;

use k8s_openapi::api::authorization::v1::SubjectRulesReviewStatus;
use k8s_openapi::api::rbac::v1::PolicyRule;

use crate::findings::Findings;

/// Each as `verb resource.group/name`, without the name where any will do.
pub type Permissions = BTreeSet<String>;

/// One of them. An empty name is any.
pub fn permission(verb: &str, resource: &str, group: &str, name: &str) -> String {
    let of = [".", group].concat();
    let (of, name) = (if group.is_empty() { "" } else { &of }, [if name.is_empty() { "" } else { "/" }, name].concat());
    format!("{verb} {resource}{of}{name}")
}

/// What the rules of a Role grant.
pub fn granted(rules: &[PolicyRule]) -> Permissions {
    let each = |rule: &PolicyRule| {
        let (groups, resources) = (rule.api_groups.as_deref(), rule.resources.as_deref());
        expand(&rule.verbs, groups, resources, rule.resource_names.as_deref())
    };
    rules.iter().flat_map(each).collect()
}

/// What a review of somebody's own rights lists.
pub fn listed(review: &SubjectRulesReviewStatus) -> Permissions {
    let resources = review.resource_rules.iter().flat_map(|rule| {
        let (groups, resources) = (rule.api_groups.as_deref(), rule.resources.as_deref());
        expand(&rule.verbs, groups, resources, rule.resource_names.as_deref())
    });
    let paths = review
        .non_resource_rules
        .iter()
        .flat_map(|rule| expand(&rule.verbs, None, rule.non_resource_urls.as_deref(), None));
    resources.chain(paths).collect()
}

/// What the one list has and the other has not.
pub fn compare((one, have): (&str, &Permissions), (other, wanted): (&str, &Permissions)) -> Findings {
    let mut findings = Findings::default();
    for (is, has, [what, lacks]) in [(have, wanted, [one, other]), (wanted, have, [other, one])] {
        let more: Vec<_> = is.difference(has).collect();
        findings.require(more.is_empty(), format!("{what}, but not {lacks}: {more:?}"));
    }
    findings
}

fn expand(
    verbs: &[String],
    groups: Option<&[String]>,
    resources: Option<&[String]>,
    names: Option<&[String]>,
) -> Vec<String> {
    let any = [String::new()];
    let or_any = |list: Option<&[String]>| list.filter(|it| !it.is_empty()).unwrap_or(&any).to_vec();
    let (groups, names) = (or_any(groups), or_any(names));
    let mut all = Vec::new();
    for verb in verbs {
        for group in &groups {
            for resource in resources.unwrap_or_default() {
                all.extend(names.iter().map(|name| permission(verb, resource, group, name)));
            }
        }
    }
    all
}
