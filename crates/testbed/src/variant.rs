//! The variants by name: their forms, their folders, and their manifests.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::assets::workspace;

macro_rules! variants {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)+; $($(#[$of:meta])* $example:ident = $called:literal,)+) => {
        /// One implementation of the election behind the same application, or an example with work of its own.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Variant {
            $($(#[$doc])* $variant,)+
            $($(#[$of])* $example,)+
        }

        impl Variant {
            /// All variants. They have the same application.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The examples, with work of their own.
            pub const EXAMPLES: &[Self] = &[$(Self::$example),+];

            /// The name of its folder in `apps/` or `examples/`, and of its objects.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ $(Self::$example => $called),+ }
            }
        }
    };
}

// This line is all that makes a variant known. How it is built follows from its folder.
variants! {
    /// The library of this repository, on kube alone.
    Native = "native",
    /// The crate kube-leader-election.
    KubeLeaderElection = "kube-leader-election",
    /// The crate kube-coordinate.
    KubeCoordinate = "kube-coordinate",
    /// The leases of the crate kubert.
    Kubert = "kubert",
    /// The crate kube-lease-manager.
    KubeLeaseManager = "kube-lease-manager",
    /// The crate k8s-controller.
    K8sController = "k8s-controller",
    /// The Go original.
    ClientGo = "client-go",
    ;
    /// A kube-rs Controller, on native's election.
    Controller = "controller",
    /// The same on controller-runtime.
    ControllerGo = "controller-go",
}

/// How a variant uses its election. A crate is judged by both forms: the first alone would judge what we have added, the second
/// alone an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Form {
    /// As well as its public interface allows: `src/main.rs`, which is shipped and copied.
    Template,
    /// As its own documentation shows: `examples/as_documented.rs`.
    AsDocumented,
}

impl Form {
    /// Its name in the names of tests and executables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Template => "template",
            Self::AsDocumented => "as-documented",
        }
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Variant {
    /// Returns the forms that it has: always the template, and the other where its folder has one.
    pub fn forms(self) -> Vec<Form> {
        let documented = self.folder().join("examples/as_documented.rs").is_file();
        [Form::Template].into_iter().chain(documented.then_some(Form::AsDocumented)).collect()
    }

    /// Whether it has work of its own, a Controller, instead of a log line per tick.
    pub fn is_example(self) -> bool {
        Self::EXAMPLES.contains(&self)
    }

    /// The name of everything of it outside this repository: its executable, its image, its objects in a cluster and their
    /// namespace.
    pub fn full_name(self) -> String {
        format!("still-leading-{self}")
    }

    /// Returns the variant of that name, or the example that is deployed in the same way. For command lines.
    ///
    /// # Errors
    /// Returns the names that exist.
    pub fn deployed(name: &str) -> Result<Self, String> {
        if name == Self::Controller.name() {
            return Ok(Self::Controller);
        }
        name.parse().map_err(|unknown: UnknownVariant| format!("{unknown}, and there is {}", Self::Controller))
    }

    /// Returns its folder.
    pub fn folder(self) -> PathBuf {
        let kind = if self.is_example() { "examples" } else { "apps" };
        workspace().join(kind).join(self.name())
    }

    /// Returns the path of its flat manifest, in which every object is called `still-leading-<variant>`.
    pub fn install_yaml(self) -> PathBuf {
        workspace().join("deploy").join(format!("install-{}.yaml", self.name()))
    }
}

/// Finds a variant by its name, for command lines.
impl FromStr for Variant {
    type Err = UnknownVariant;

    fn from_str(name: &str) -> Result<Self, UnknownVariant> {
        Self::ALL.iter().copied().find(|variant| variant.name() == name).ok_or(UnknownVariant)
    }
}

/// No variant has that name. Displays all names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownVariant;

impl fmt::Display for UnknownVariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = Variant::ALL.iter().map(|variant| variant.name()).collect();
        write!(f, "the variants are {}", names.join(", "))
    }
}

impl std::error::Error for UnknownVariant {}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variant_is_found_by_its_name_and_a_wrong_name_learns_the_right_ones() {
        assert_eq!("client-go".parse(), Ok(Variant::ClientGo));
        let error = "nativ".parse::<Variant>().unwrap_err().to_string();
        assert!(error.starts_with("the variants are native, "), "{error}");
    }

    #[test]
    fn what_is_deployed_is_found_by_its_name_and_a_wrong_name_learns_the_right_ones() {
        for variant in Variant::ALL.iter().chain([&Variant::Controller]) {
            assert_eq!(Variant::deployed(variant.name()), Ok(*variant));
        }
        for wrong in ["nativ", "controller-go"] {
            let error = Variant::deployed(wrong).unwrap_err();
            assert!(
                error.starts_with("the variants are native, ") && error.ends_with("and there is controller"),
                "{error}"
            );
        }
        assert_eq!("controller".parse::<Variant>(), Err(UnknownVariant), "it has no column in the tables");
    }

    #[test]
    fn every_variant_has_a_folder_of_its_name() {
        for variant in Variant::ALL.iter().chain(Variant::EXAMPLES) {
            assert!(variant.folder().is_dir(), "{variant}");
        }
    }

    #[test]
    fn a_crate_has_two_forms_and_every_other_variant_has_one() {
        let crates = [
            Variant::KubeLeaderElection,
            Variant::KubeCoordinate,
            Variant::Kubert,
            Variant::KubeLeaseManager,
            Variant::K8sController,
        ];
        for variant in Variant::ALL {
            let documented = crates.contains(variant).then_some(Form::AsDocumented);
            let forms: Vec<Form> = [Form::Template].into_iter().chain(documented).collect();
            assert_eq!(variant.forms(), forms, "{variant}");
        }
    }
}
