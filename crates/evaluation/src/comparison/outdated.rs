//! Whether a record is still one of the crates that are there.

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::record::Artefact;

/// What tells the versions of one variant now.
#[derive(Clone, Copy, Debug)]
pub enum Sources<'a> {
    /// The text of its Cargo.lock.
    CargoLock(&'a str),
    /// The text of its go.mod.
    GoMod(&'a str),
}

#[derive(Deserialize)]
struct Lock {
    package: Vec<Locked>,
}

#[derive(Deserialize)]
struct Locked {
    name: String,
    version: String,
}

/// What `artefact` was measured with and is not there any more, if anything: `kubert 0.24.0, now 0.25.0`.
///
/// # Errors
/// The sources cannot be read, or do not know a package that was recorded.
pub fn outdated(artefact: &Artefact, sources: Sources<'_>) -> Result<Option<String>> {
    let package = &artefact.package;
    let recorded = [(package.name.as_str(), &package.version), ("kube", &package.kube)];
    for (name, recorded) in recorded {
        let Some(recorded) = recorded else { continue };
        let now = match sources {
            Sources::CargoLock(text) => locked(text, name)?,
            Sources::GoMod(text) => required(text, name),
        };
        if !now.iter().any(|now| now == recorded) {
            let now = if now.is_empty() { "gone".to_owned() } else { now.join(" and ") };
            return Ok(Some(format!("{name} {recorded}, now {now}")));
        }
    }
    Ok(None)
}

fn locked(text: &str, name: &str) -> Result<Vec<String>> {
    let lock: Lock = toml::from_str(text).context("reading a Cargo.lock")?;
    if lock.package.is_empty() {
        bail!("a Cargo.lock without packages");
    }
    Ok(lock.package.into_iter().filter(|package| package.name == name).map(|package| package.version).collect())
}

/// Lines such as `k8s.io/client-go v0.37.1`, perhaps after `require` and before a comment.
fn required(text: &str, module: &str) -> Vec<String> {
    let version = |line: &str| {
        let mut words = line.split_whitespace().skip_while(|word| *word == "require");
        (words.next()? == module).then(|| words.next().map(str::to_owned)).flatten()
    };
    text.lines().filter_map(version).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comparison::artefacts::tests::artefact;

    const LOCK: &str = "version = 4\n[[package]]\nname = \"kube\"\nversion = \"4.2.0\"\n\
                        [[package]]\nname = \"elector\"\nversion = \"0.44.0\"\n";

    #[test]
    fn a_record_of_the_locked_versions_is_fresh() {
        assert_eq!(outdated(&artefact(), Sources::CargoLock(LOCK)).unwrap(), None);
    }

    #[test]
    fn a_record_of_another_version_of_the_crate_or_of_kube_is_outdated() {
        let of = |lock: &str| outdated(&artefact(), Sources::CargoLock(lock)).unwrap();
        let newer = LOCK.replace("0.44.0", "0.45.0");
        assert_eq!(of(&newer).as_deref(), Some("elector 0.44.0, now 0.45.0"));
        assert_eq!(of(&LOCK.replace("4.2.0", "4.3.0")).as_deref(), Some("kube 4.2.0, now 4.3.0"));
        assert_eq!(of(&LOCK.replace("elector", "other")).as_deref(), Some("elector 0.44.0, now gone"));
        assert!(outdated(&artefact(), Sources::CargoLock("nonsense")).is_err());
    }

    #[test]
    fn a_module_is_found_in_go_mod_however_it_is_required() {
        let mut artefact = artefact();
        artefact.package.name = "k8s.io/client-go".to_owned();
        artefact.package.version = Some("v0.37.1".to_owned());
        artefact.package.kube = None;
        let of = |text: &str| outdated(&artefact, Sources::GoMod(text)).unwrap();
        assert_eq!(of("require (\n\tk8s.io/client-go v0.37.1 // indirect\n)\n"), None);
        assert_eq!(of("require k8s.io/client-go v0.37.1\n"), None);
        assert_eq!(of("require k8s.io/client-go v0.38.0\n").as_deref(), Some("k8s.io/client-go v0.37.1, now v0.38.0"));
    }
}
