//! A fence: it refuses writes of ConfigMaps without an epoch, or with an older epoch than the stored one.

use serde_json::Value;

/// A rule that a cluster enforces with a `ValidatingAdmissionPolicy`. It is built in, since this server has no admission. What
/// one user writes to guarded ConfigMaps must carry an epoch, and not a lower one than the stored one.
///
/// - An annotation of the new object must be the epoch, 1 to 18 digits.
/// - If the old object has such an epoch, the new one must not be smaller.
/// - The new object must have the label.
///
/// A write that breaks the rule is answered with 403, as kube-apiserver does for that policy, also in a dry run. Of several
/// reasons, the answer has the first in this order. The rule applies to creations and updates of any kind, of objects that have
/// the label before or after.
///
/// The rule sees the object that a write would leave, as the policy does. A patch without an epoch keeps the stored one and
/// passes. So the fence stops only a writer that sends its epoch with each write.
#[derive(Clone, Debug)]
pub struct Fence {
    /// The name of the policy, for the answer.
    pub policy: String,
    /// The name of its binding, for the answer.
    pub binding: String,
    /// The user to whom the rule applies, for example `system:serviceaccount:<namespace>:<name>`.
    pub user: String,
    /// The label that guards an object, if its value is `true`.
    pub label: String,
    /// The annotation that holds the epoch.
    pub annotation: String,
}

impl Fence {
    /// Returns why a user may not make a write; `None` if they may.
    pub(crate) fn refusal(&self, user: &str, new: &Value, old: Option<&Value>) -> Option<String> {
        let guarded = |object: &Value| object["metadata"]["labels"][&self.label] == "true";
        if user != self.user || !(guarded(new) || old.is_some_and(guarded)) {
            return None;
        }
        let told = |object: &Value| object["metadata"]["annotations"][&self.annotation].as_str().map(str::to_owned);
        let epoch = |object: &Value| told(object).and_then(|text| Some((epoch(&text)?, text)));
        let Some((epoch_of_new, new_text)) = epoch(new) else {
            return Some(format!("a leader must write its epoch (annotation {})", self.annotation));
        };
        match old.and_then(epoch) {
            Some((old, old_text)) if epoch_of_new < old => {
                Some(format!("fenced: epoch {new_text} is over, {old_text} has written since"))
            }
            _ if !guarded(new) => Some(format!("a guarded object keeps its label ({})", self.label)),
            _ => None,
        }
    }
}

fn epoch(text: &str) -> Option<u64> {
    let valid = (1..=18).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if valid { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fence() -> Fence {
        let text = |text: &str| text.to_owned();
        let (policy, binding, user) = (text("p"), text("b"), text("app"));
        Fence { policy, binding, user, label: text("guarded"), annotation: text("epoch") }
    }

    fn refusal(user: &str, new: Value, old: Option<Value>) -> Option<String> {
        let object =
            |epoch: Value| json!({"metadata": {"labels": {"guarded": "true"}, "annotations": {"epoch": epoch}}});
        fence().refusal(user, &object(new), old.map(object).as_ref())
    }

    #[test]
    fn an_epoch_is_written_and_never_falls() {
        let missing = Some("a leader must write its epoch (annotation epoch)".to_owned());
        for no_epoch in [json!(null), json!(""), json!("x"), json!("-1"), json!("1234567890123456789")] {
            assert_eq!(refusal("app", no_epoch, Some(json!("1"))), missing);
        }
        assert_eq!(refusal("app", json!("9"), None), None);
        assert_eq!(refusal("app", json!("9"), Some(json!("9"))), None);
        assert_eq!(refusal("app", json!("10"), Some(json!("9"))), None);
        assert_eq!(refusal("app", json!("9"), Some(json!("x"))), None);
        let fenced = Some("fenced: epoch 9 is over, 010 has written since".to_owned());
        assert_eq!(refusal("app", json!("9"), Some(json!("010"))), fenced);
        assert_eq!(refusal("somebody", json!(null), Some(json!("9"))), None);
    }

    #[test]
    fn the_label_stays_and_a_wrong_epoch_is_reported_first() {
        let object =
            |labels: Value, epoch: &str| json!({"metadata": {"labels": labels, "annotations": {"epoch": epoch}}});
        let old = object(json!({"guarded": "true"}), "9");
        let refusal = |labels: Value, epoch: &str| fence().refusal("app", &object(labels, epoch), Some(&old));
        let label = Some("a guarded object keeps its label (guarded)".to_owned());
        for lost in [json!(null), json!({}), json!({"guarded": "false"})] {
            assert_eq!(refusal(lost, "9"), label);
        }
        assert_eq!(refusal(json!({}), "8").as_deref(), Some("fenced: epoch 8 is over, 9 has written since"));
        assert_eq!(refusal(json!({}), "").as_deref(), Some("a leader must write its epoch (annotation epoch)"));
        assert_eq!(fence().refusal("app", &object(json!({}), "9"), None), None);
    }
}
