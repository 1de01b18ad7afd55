//! What has to come out: native holds everything, and each control is caught, every time.

use std::collections::BTreeMap;

use still_leading_evaluation::matrix::fault::Fault;
use still_leading_evaluation::matrix::judge::Judgement;
use still_leading_evaluation::matrix::subject::{Control, Subject};

use crate::args::NATIVE;

type Cells = BTreeMap<(String, String), Vec<Judgement>>;

/// What has not come out, a line each. What was not seen has not come out.
pub fn unexpected(cells: &Cells, faults: &[Box<dyn Fault>]) -> Vec<String> {
    let of = |subject: Subject, fault: &str| {
        cells.get(&(subject.to_string(), fault.to_owned())).map_or(&[][..], |judged| &judged[..])
    };
    let mut wrong = Vec::new();
    for fault in faults {
        let name = fault.name();
        let judged = of(NATIVE, &name);
        if judged.is_empty() {
            wrong.push(format!("{NATIVE} was not tried under {name}"));
        }
        for it in judged {
            // Two leaders are no fault of an elector there.
            let safety = if fault.breaks().is_some() { None } else { Some(&it.safety) };
            let promises = [safety, Some(&it.liveness), Some(&it.manners)].into_iter().flatten();
            wrong.extend(promises.filter(|it| !it.is_held()).map(|it| format!("{NATIVE} under {name}: {it}")));
        }
    }
    for control in Control::ALL.into_iter().filter(|it| faults.iter().any(|fault| fault.name() == it.caught_by())) {
        let (subject, name) = (Subject::Control(control), control.caught_by());
        let judged = of(subject, name);
        if judged.is_empty() {
            wrong.push(format!("{subject} was not tried under {name}"));
        }
        let missed = judged.iter().filter(|it| !it.safety.is_violated());
        wrong.extend(missed.map(|it| format!("{subject} under {name} was not caught: {}", it.safety)));
    }
    wrong
}

#[cfg(test)]
mod tests {
    use still_leading_evaluation::matrix::faults;
    use still_leading_evaluation::matrix::judge::Verdict;

    use super::*;

    fn judged(safety: Verdict) -> Judgement {
        Judgement { safety, liveness: Verdict::Held, manners: Verdict::Held, figures: None }
    }

    fn faults() -> Vec<Box<dyn Fault>> {
        vec![faults::find("sigterm").unwrap()]
    }

    fn cells(native: Verdict, control: &[Verdict]) -> Cells {
        let control_of = control.iter().cloned().map(judged).collect();
        BTreeMap::from([
            (("native".to_owned(), "sigterm".to_owned()), vec![judged(native)]),
            (("control.release-before-drain".to_owned(), "sigterm".to_owned()), control_of),
        ])
    }

    fn broken() -> Verdict {
        Verdict::Violated("two led".to_owned())
    }

    #[test]
    fn native_that_holds_and_a_control_that_is_caught_are_as_expected() {
        assert_eq!(unexpected(&cells(Verdict::Held, &[broken()]), &faults()), [""; 0]);
    }

    #[test]
    fn what_is_unknown_was_not_tried_or_was_missed_once_is_unexpected() {
        let unknown = || Verdict::Unknown("it was too slow".to_owned());
        for (native, control, count) in [
            (unknown(), vec![broken()], 1),
            (broken(), vec![broken()], 1),
            (Verdict::Held, vec![], 1),
            (Verdict::Held, vec![broken(), Verdict::Held], 1),
            (Verdict::Held, vec![unknown()], 1),
        ] {
            assert_eq!(unexpected(&cells(native, &control), &faults()).len(), count, "{control:?}");
        }
        assert_eq!(unexpected(&Cells::new(), &faults()).len(), 2);
    }
}
