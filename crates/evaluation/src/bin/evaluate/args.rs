//! The command line.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use clap::{Parser, Subcommand};
use still_leading_evaluation::matrix::fault::Fault;
use still_leading_evaluation::matrix::faults;
use still_leading_evaluation::matrix::record::Millis;
use still_leading_evaluation::matrix::subject::Subject;
use still_leading_testbed::{Form, ServerKind, Timings, Variant};

/// What has to hold everything.
pub const NATIVE: Subject = Subject::Variant(Variant::Native, Form::Template);

/// Puts every election under the same faults and measures what happens: two leaders, none, acts after the end of a term,
/// and what it costs
#[derive(Debug, Parser)]
#[command(name = "cargo evaluate", bin_name = "cargo evaluate", max_term_width = 120)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Try subjects under faults; what is in the folder already is not tried again
    Run(RunArgs),
    /// Judge the trials of a folder again
    Judge {
        /// The folder of a run
        dir: PathBuf,
    },
    /// Show a recorded trial, and try it once more with the same seed
    Replay {
        /// The file of a trial, `DIR/trials/<subject>/<fault>/<number>.json.gz`
        trial: PathBuf,
        /// Do not try it again
        #[arg(long)]
        only_show: bool,
        /// Build for release, as what was recorded may have been: arithmetic that overflows does not panic then
        #[arg(long, conflicts_with = "only_show")]
        release: bool,
    },
    /// Take runs into docs/runs/matrix.json, and write the pages that are made of it
    Report {
        /// The folders of the runs; none writes the pages anew
        dirs: Vec<PathBuf>,
        /// Write nothing; fail if a page is not what the record says
        #[arg(long, conflicts_with = "dirs")]
        check: bool,
    },
    /// List subjects and faults
    List,
}

#[derive(Clone, Debug, clap::Args)]
pub struct RunArgs {
    /// Variants to try, all of their forms [default: all variants]
    #[arg(long, value_name = "VARIANTS", value_delimiter = ',')]
    pub variant: Vec<Variant>,

    /// Only this form of them: template or as-documented
    #[arg(long, value_name = "FORM", value_parser = form)]
    pub form: Option<Form>,

    /// Negative controls too: elections that are broken on purpose, each under the fault that must catch it
    #[arg(long)]
    pub controls: bool,

    /// Only native, and each control under the fault that must catch it; fail if native does not hold, or a control is not
    /// caught every time
    #[arg(long, conflicts_with_all = ["variant", "form", "controls"])]
    pub expect: bool,

    /// Faults, by name [default: all; see `cargo evaluate list`]
    #[arg(long, value_name = "FAULTS", value_delimiter = ',')]
    pub fault: Vec<String>,

    /// Faults to leave out, by name
    #[arg(long, value_name = "FAULTS", value_delimiter = ',', conflicts_with = "fault")]
    pub except: Vec<String>,

    /// How often each subject is tried under each fault
    #[arg(long, value_name = "N", default_value = "5", value_parser = at_least_one)]
    pub trials: usize,

    /// Decides the moments of the faults, and jitter
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,

    /// On a real kube-apiserver (control-plane/build makes one)
    #[arg(long, conflicts_with = "embedded")]
    pub real: bool,

    /// On the embedded API server [default]
    #[arg(long)]
    pub embedded: bool,

    /// Build for release, as a measurement should
    #[arg(long)]
    pub release: bool,

    /// Lease duration, renew deadline and retry period, in seconds
    #[arg(long, value_name = "L/D/R", default_value = "5/3/1", value_parser = durations)]
    pub timings: [u64; 3],

    /// At most so many trials side by side; fewer if calibration says so
    #[arg(long, value_name = "N", default_value = "16", value_parser = at_least_one)]
    pub parallel: usize,

    /// The folder for what is recorded
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

impl RunArgs {
    pub fn server(&self) -> ServerKind {
        if self.real { ServerKind::Real } else { ServerKind::Embedded }
    }

    pub fn timings(&self) -> Timings {
        let [lease_duration, renew_deadline, retry_period] = self.timings.map(Duration::from_secs);
        Timings { lease_duration, renew_deadline, retry_period }
    }

    /// # Errors
    /// There is none, or its crate takes no such durations.
    pub fn subjects(&self) -> Result<Vec<Subject>> {
        let subjects = self.named()?;
        for subject in &subjects {
            if let Subject::Variant(variant, _) = subject {
                self.timings().check(*variant).map_err(|error| anyhow!(error))?;
            }
        }
        Ok(subjects)
    }

    fn named(&self) -> Result<Vec<Subject>> {
        if self.expect {
            return Ok([vec![NATIVE], Subject::controls()].concat());
        }
        let wanted = |subject: &Subject| match subject {
            Subject::Variant(variant, form) => {
                (self.variant.is_empty() || self.variant.contains(variant)) && self.form.is_none_or(|it| it == *form)
            }
            Subject::Control(_) => false,
        };
        let mut subjects: Vec<Subject> = Subject::variants().into_iter().filter(wanted).collect();
        if self.controls {
            subjects.extend(Subject::controls());
        }
        ensure!(!subjects.is_empty(), "there is no such form of these variants: see `cargo evaluate list`");
        Ok(subjects)
    }

    /// Whether a subject is tried under a fault: of a control it says nothing what it does under another than its own.
    pub fn wants(subject: Subject, fault: &str) -> bool {
        match subject {
            Subject::Control(control) => control.caught_by() == fault,
            Subject::Variant(..) => true,
        }
    }

    /// # Errors
    /// There is none of a name.
    pub fn faults(&self) -> Result<Vec<Box<dyn Fault>>> {
        let found = |name: &String| faults::find(name).map_err(|error| anyhow!(error));
        if self.fault.is_empty() {
            // So that a name which is misspelt leaves nothing in.
            self.except.iter().try_for_each(|name| found(name).map(drop))?;
            return Ok(faults::all().into_iter().filter(|fault| !self.except.contains(&fault.name())).collect());
        }
        // One that is named twice is one.
        let names: BTreeSet<&String> = self.fault.iter().collect();
        names.into_iter().map(found).collect()
    }

    /// What to run to repeat it.
    pub fn command(&self) -> String {
        let mut words = vec!["cargo evaluate run".to_owned()];
        let mut add = |flag: &str, value: String| words.push(format!("--{flag} {value}"));
        if !self.variant.is_empty() {
            add("variant", self.variant.iter().map(ToString::to_string).collect::<Vec<_>>().join(","));
        }
        if let Some(form) = self.form {
            add("form", form.to_string());
        }
        if !self.fault.is_empty() {
            add("fault", self.fault.join(","));
        }
        if !self.except.is_empty() {
            add("except", self.except.join(","));
        }
        add("trials", self.trials.to_string());
        add("seed", self.seed.to_string());
        add("timings", self.timings.map(|it| it.to_string()).join("/"));
        add("out", self.out.display().to_string());
        let flags =
            [("controls", self.controls), ("expect", self.expect), ("real", self.real), ("release", self.release)];
        words.extend(flags.into_iter().filter(|(_, on)| *on).map(|(flag, _)| format!("--{flag}")));
        words.join(" ")
    }
}

pub fn timings_of(millis: Millis) -> Timings {
    Timings {
        lease_duration: Duration::from_millis(millis.lease_duration),
        renew_deadline: Duration::from_millis(millis.renew_deadline),
        retry_period: Duration::from_millis(millis.retry_period),
    }
}

fn form(name: &str) -> Result<Form, String> {
    let forms = [Form::Template, Form::AsDocumented];
    forms
        .into_iter()
        .find(|form| form.name() == name)
        .ok_or_else(|| "the forms are template and as-documented".to_owned())
}

fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| "a whole number from 1 on".to_owned())
}

/// Three whole numbers: most crates count in whole seconds.
fn durations(text: &str) -> Result<[u64; 3], String> {
    let wrong = || "three whole numbers of seconds, such as 15/10/2, each larger than the next".to_owned();
    let parts: Vec<u64> = text.split('/').map(str::parse).collect::<Result<_, _>>().map_err(|_| wrong())?;
    let [lease, deadline, retry] = parts[..] else { return Err(wrong()) };
    if lease > deadline && deadline > retry.saturating_mul(2) && retry > 0 {
        Ok([lease, deadline, retry])
    } else {
        Err(wrong())
    }
}
