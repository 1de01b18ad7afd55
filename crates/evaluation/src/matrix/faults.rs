//! What happens to a subject: one small type for each kind of fault.

mod answer;
mod clock;
mod crowd;
mod lease;
mod network;
mod output;
mod process;
mod rest;
mod rights;
mod server;
mod work;

use super::fault::Fault;

/// Every fault, in the order of the tables.
#[must_use]
pub fn all() -> Vec<Box<dyn Fault>> {
    let groups = [
        process::all(),
        network::all(),
        server::all(),
        answer::all(),
        lease::all(),
        clock::all(),
        crowd::all(),
        rights::all(),
        output::all(),
        work::all(),
        rest::all(),
    ];
    groups.into_iter().flatten().collect()
}

/// The fault of that name.
///
/// # Errors
/// There is none; displays the names there are.
pub fn find(name: &str) -> Result<Box<dyn Fault>, String> {
    let names: Vec<String> = all().iter().map(|fault| fault.name()).collect();
    let found = all().into_iter().find(|fault| fault.name() == name);
    found.ok_or_else(|| format!("there is no fault {name}; there are {}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::matrix::needs::Start;

    #[test]
    fn every_fault_has_a_name_of_its_own_and_one_sentence() {
        let names: BTreeSet<String> = all().iter().map(|fault| fault.name()).collect();
        assert_eq!(names.len(), all().len());
        for fault in all() {
            let (name, what) = (fault.name(), fault.what());
            let is_word =
                |it: &str| it.chars().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || "-.+".contains(it));
            assert!(is_word(&name), "{name}");
            assert!(
                what.ends_with('.')
                    && !what.contains('\n')
                    && (what.starts_with(char::is_uppercase) || what.starts_with("etcd ")),
                "{what}"
            );
            assert_eq!(find(&name).unwrap().name(), name);
        }
        assert!(find("sigtrem").unwrap_err().contains("sigterm"));
    }

    #[test]
    fn a_fault_of_the_api_server_has_one_of_its_own() {
        for fault in all().iter().filter(|fault| fault.needs().own_server) {
            assert_eq!(fault.needs().start, Start::default(), "{fault:?}");
        }
    }
}
