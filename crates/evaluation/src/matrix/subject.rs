//! What is tried: each variant in each of its forms, and electors that are broken on purpose.

use std::fmt;
use std::path::PathBuf;
use std::process::Stdio;
use std::str::FromStr;

use anyhow::{Context, Result, ensure};
use still_leading_testbed::{Form, Profile, Variant, cargo, target_dir};

/// One program that is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// A variant in one of its forms.
    Variant(Variant, Form),
    /// A negative control.
    Control(Control),
}

/// An elector of `crates/negative-controls`, broken in one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Control {
    /// It overwrites whatever the Lease says by then.
    NoCompareAndSwap,
    /// Its leadership is a flag that no clock and no error ends.
    Boolean,
    /// It waits for every answer.
    NoTimeOuts,
    /// It releases the Lease while its work still goes on.
    ReleaseBeforeDrain,
}

impl Control {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::NoCompareAndSwap, Self::Boolean, Self::NoTimeOuts, Self::ReleaseBeforeDrain];

    /// As its program spells the defect.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NoCompareAndSwap => "no-compare-and-swap",
            Self::Boolean => "boolean",
            Self::NoTimeOuts => "no-time-outs",
            Self::ReleaseBeforeDrain => "release-before-drain",
        }
    }

    /// The fault that it is made for: the judge has to find two leaders there.
    #[must_use]
    pub fn caught_by(self) -> &'static str {
        match self {
            Self::NoCompareAndSwap => "late-delivery",
            Self::Boolean => "leader-refuse",
            Self::NoTimeOuts => "leader-black-hole",
            Self::ReleaseBeforeDrain => "sigterm",
        }
    }
}

impl Subject {
    /// Every form of every variant.
    #[must_use]
    pub fn variants() -> Vec<Self> {
        let forms = |variant: Variant| variant.forms().into_iter().map(move |form| Self::Variant(variant, form));
        Variant::ALL.iter().copied().flat_map(forms).collect()
    }

    /// Every negative control.
    #[must_use]
    pub fn controls() -> Vec<Self> {
        Control::ALL.into_iter().map(Self::Control).collect()
    }

    /// Whose manifest it is installed with.
    #[must_use]
    pub fn manifest(self) -> Variant {
        match self {
            Self::Variant(variant, _) => variant,
            // They get, patch and create the Lease, and nothing else.
            Self::Control(_) => Variant::KubeLeaderElection,
        }
    }

    /// What it is told besides what all are told.
    #[must_use]
    pub fn args(self) -> Vec<String> {
        match self {
            Self::Variant(..) => Vec::new(),
            Self::Control(control) => vec!["--defect".to_owned(), control.name().to_owned()],
        }
    }

    /// Builds it, or finds it up to date. Blocks.
    ///
    /// # Errors
    /// It does not build, or a tool is missing; the message says what to do.
    pub fn build(self, profile: Profile) -> Result<PathBuf> {
        match self {
            Self::Variant(variant, form) => {
                variant.build_form(form, profile).with_context(|| format!("building {self}"))
            }
            Self::Control(_) => build_controls(profile),
        }
    }

    /// Whether it is written in Go, whose clock is the kernel's and not the C library's.
    #[must_use]
    pub fn is_go(self) -> bool {
        matches!(self, Self::Variant(variant, _) if variant.folder().join("go.mod").is_file())
    }

    /// What this machine lacks to build it, in one line.
    #[must_use]
    pub fn missing_toolchain(self) -> Option<String> {
        match self {
            Self::Variant(variant, _) => variant.missing_toolchain(),
            Self::Control(_) => None,
        }
    }
}

fn build_controls(profile: Profile) -> Result<PathBuf> {
    const NAME: &str = "still-leading-negative-controls";
    let (options, folder): (&[&str], _) = match profile {
        Profile::Debug => (&[], "debug"),
        Profile::Release => (&["--release"], "release"),
    };
    let mut command = cargo();
    command.args(["build", "--locked", "--package", NAME]).args(options).stdout(Stdio::null());
    ensure!(command.status().context("starting cargo")?.success(), "{NAME} does not build: see above");
    Ok(target_dir().join(folder).join(NAME))
}

/// As in tables and in names of folders: `kubert`, `kubert.as-documented`, `control.boolean`.
impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Variant(variant, Form::Template) => variant.to_string(),
            Self::Variant(variant, form) => format!("{variant}.{form}"),
            Self::Control(control) => format!("control.{}", control.name()),
        };
        f.pad(&name)
    }
}

impl FromStr for Subject {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let all = || Self::variants().into_iter().chain(Self::controls());
        all().find(|subject| subject.to_string() == name).ok_or_else(|| {
            let names: Vec<String> = all().map(|subject| subject.to_string()).collect();
            format!("there is no subject {name}; there are {}", names.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_twelve_and_four_controls_and_each_is_found_by_its_name() {
        let all: Vec<Subject> = Subject::variants().into_iter().chain(Subject::controls()).collect();
        assert_eq!((Subject::variants().len(), all.len()), (12, 16));
        for subject in all {
            assert_eq!(subject.to_string().parse(), Ok(subject));
        }
        assert!("kuber".parse::<Subject>().unwrap_err().contains("kubert, kubert.as-documented"));
    }
}
