//! What a variant may break on a cluster, with the reason. The black-box suite has the same facts with a verdict each
//! (`crates/testbed/tests/black_box/expected`); here no row is certain, since nobody chooses in which moment of its loop a
//! replica is frozen or cut off.

use still_leading_testbed::Variant;

use super::step::Step;

const ROWS: &[(Variant, Step, &str)] = &[
    (
        Variant::ClientGo,
        Step::Freeze,
        "leaderelection.go:279-312: on resume it begins another renew deadline, and leads on until that ends although it \
         reads another holder",
    ),
    (
        Variant::ClientGo,
        Step::Cut,
        "leaderelection.go:309-310 and 219: with ReleaseOnCancel, which the template sets, the work is cancelled only after \
         an attempt to release, which may take until the lease is over",
    ),
];

/// Why `variant` may break `step`, if it may.
#[must_use]
pub fn reason(variant: Variant, step: Step) -> Option<&'static str> {
    ROWS.iter().find(|(of, at, _)| (*of, *at) == (variant, step)).map(|(_, _, reason)| *reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_break_has_one_reason_and_everything_else_has_none() {
        assert!(reason(Variant::ClientGo, Step::Freeze).is_some_and(|it| it.starts_with("leaderelection.go:279")));
        assert_eq!(reason(Variant::ClientGo, Step::Delete), None);
        assert_eq!(reason(Variant::Native, Step::Freeze), None);
        for (place, (variant, step, _)) in ROWS.iter().enumerate() {
            assert!(!ROWS[..place].iter().any(|(of, at, _)| (of, at) == (variant, step)), "{variant} {step} twice");
            assert!(Step::choice().contains(step), "{step} has no reason to break");
        }
    }
}
