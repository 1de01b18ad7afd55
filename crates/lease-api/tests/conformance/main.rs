//! The embedded Lease API and the real kube-apiserver give the same answers to the same requests.
//!
//! The requests are in `scenarios/`, and the real server's answers in `golden/`. The embedded server is always compared with
//! those. With a control plane the real server is compared too, so that golden answers stay true, and both get the same random
//! requests. Intended differences are in `differences.yaml`: the suite fails on any other difference, and on one that is gone.
//!
//! `STILL_LEADING_GOLDEN=1` writes `golden/` anew. `STILL_LEADING_CASES=<n>` sets the number of random sequences.

mod differences;
mod exchange;
mod fence;
mod fill;
mod fixture;
mod golden;
mod judge;
mod normalise;
mod own;
mod race;
mod random;
mod scenario;
mod server;
mod world;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::jiff::Timestamp;
use libtest_mimic::{Arguments, Conclusion, Failed, Trial};
use serde_json::Value;
use still_leading_testbed::{Assets, ServerKind};

use differences::Row;
use golden::{Answers, Golden};
use normalise::Known;
use scenario::{Scenario, Topic};
use world::World;

/// Scenarios mostly wait.
const THREADS: usize = 32;
const RECORD: &str = "STILL_LEADING_GOLDEN";

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(THREADS);
    run(&arguments).unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

fn run(arguments: &Arguments) -> Result<ExitCode> {
    let (topics, table) = (scenario::topics()?, differences::table()?);
    let defects = differences::defects(&table, &topics);
    ensure!(defects.is_empty(), "differences.yaml: {}", defects.join("; "));
    let records = std::env::var_os(RECORD).is_some_and(|it| !it.is_empty()) && !arguments.list;
    let suite = Suite { world: Arc::new(World::new()?), recorded: Arc::default(), records };
    let missing = Assets::find().err();
    let mut trials = suite.trials(&topics, &table, missing.is_some())?;
    if !records {
        trials.push(suite.race(ServerKind::Embedded));
        trials.push(suite.race(ServerKind::Real).with_ignored_flag(missing.is_some()));
        trials.push(suite.random().with_ignored_flag(missing.is_some()));
        let table = table.clone();
        trials.push(own::trial("docs_show_the_table_of_differences", move || differences::check_document(&table)));
        trials.extend(own::trials());
    }
    match &missing {
        Some(missing) if !arguments.list => eprintln!("note: what needs a real API server is ignored: {missing}"),
        None if !arguments.list && trials.iter().any(|it| is_real(it) && !arguments.is_filtered_out(it)) => {
            suite.world.prepare();
        }
        _ => {}
    }
    let conclusion = libtest_mimic::run(arguments, trials);
    suite.tell_version(&topics, &conclusion)?;
    let written = if records { suite.write(&topics, &table, &conclusion) } else { Ok(()) };
    suite.world.end();
    written.context("nothing was recorded")?;
    Ok(conclusion.exit_code())
}

fn is_real(trial: &Trial) -> bool {
    trial.name().starts_with("real::") || trial.name().starts_with("both::")
}

struct Suite {
    world: Arc<World>,
    /// The answers by topic.
    recorded: Arc<Mutex<BTreeMap<String, Answers>>>,
    records: bool,
}

impl Suite {
    fn trials(&self, topics: &[Topic], table: &[Row], no_real_server: bool) -> Result<Vec<Trial>> {
        let mut trials = Vec::new();
        // The embedded ones first, since the real server is still starting.
        for kind in ServerKind::ALL {
            // A run that records does not compare. The next run does.
            if self.records && kind == ServerKind::Embedded {
                continue;
            }
            for topic in topics {
                let golden = golden::read(&topic.name)?.unwrap_or_default();
                let forgotten = golden.scenarios.keys().find(|name| topic.scenarios.iter().all(|it| it.name != **name));
                if let Some(name) = forgotten.filter(|_| !self.records) {
                    bail!("golden/{}.json answers `{name}`, which is not a scenario: run with {RECORD}=1", topic.name);
                }
                for scenario in &topic.scenarios {
                    let expected = golden.scenarios.get(&scenario.name).cloned();
                    let rows = match kind {
                        ServerKind::Embedded => differences::rows(table, &topic.name, &scenario.name),
                        ServerKind::Real => Vec::new(),
                    };
                    let trial = self.trial(kind, &topic.name, Arc::clone(scenario), expected, rows);
                    trials.push(trial.with_ignored_flag(kind == ServerKind::Real && no_real_server));
                }
            }
        }
        Ok(trials)
    }

    fn trial(
        &self,
        kind: ServerKind,
        topic: &str,
        scenario: Arc<Scenario>,
        golden: Option<Vec<Value>>,
        rows: Vec<Row>,
    ) -> Trial {
        let name = format!("{}::{topic}::{}", kind.name(), scenario.name.replace(' ', "_"));
        let (world, recorded, records) = (Arc::clone(&self.world), Arc::clone(&self.recorded), self.records);
        let topic = topic.to_owned();
        Trial::test(name, move || {
            let (answers, broke) = world.run(answers(&world, kind, &scenario)).map_err(failed)?;
            if records {
                broke.map_or(Ok(()), |error| Err(failed(error)))?;
                let mut recorded = recorded.lock().unwrap_or_else(PoisonError::into_inner);
                recorded.entry(topic).or_default().insert(scenario.name.clone(), answers);
                return Ok(());
            }
            let golden = golden.with_context(|| format!("no golden answers: record them with {RECORD}=1"));
            let judged = judge::judge(&scenario, &golden.map_err(failed)?, &answers, &rows);
            match (judged, broke) {
                (Ok(()), None) => Ok(()),
                (Err(complaints), None) => Err(complaints.into()),
                (judged, Some(error)) => Err(format!("{}\n{error:#}", judged.err().unwrap_or_default()).into()),
            }
        })
    }

    fn race(&self, kind: ServerKind) -> Trial {
        let (world, name) = (Arc::clone(&self.world), format!("{}::race::one_wins", kind.name()));
        let race = async move |world: &World| race::one_wins(&*world.server(kind).await?).await;
        Trial::test(name, move || world.run(race(&world)).map_err(failed))
    }

    fn random(&self) -> Trial {
        let world = Arc::clone(&self.world);
        Trial::test("both::random_writes_get_the_same_answers", move || random::agree(&world).map_err(failed))
    }

    /// Reports the version of the real server. A server of another version may answer differently.
    fn tell_version(&self, topics: &[Topic], conclusion: &Conclusion) -> Result<()> {
        let (Some(topic), Some(version)) = (topics.first(), self.world.version()) else { return Ok(()) };
        let golden = golden::read(&topic.name)?.unwrap_or_default().kubernetes;
        if conclusion.has_failed() && !self.records && golden != version {
            eprintln!("note: the golden answers are those of {golden}, the real server here is {version}");
        }
        Ok(())
    }

    fn write(&self, topics: &[Topic], table: &[Row], conclusion: &Conclusion) -> Result<()> {
        ensure!(conclusion.num_filtered_out == 0, "only a run of the whole suite is a record");
        ensure!(!conclusion.has_failed(), "not every scenario was answered");
        let kubernetes = self.world.version().context("there was no real server")?;
        let mut recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        for topic in topics {
            let scenarios = recorded.remove(&topic.name).unwrap_or_default();
            golden::write(&topic.name, &Golden { kubernetes: kubernetes.clone(), scenarios })?;
        }
        differences::write_document(table)
    }
}

/// Returns a server's normalised answers to a scenario, and the error that ended the scenario early.
async fn answers(world: &World, kind: ServerKind, scenario: &Scenario) -> Result<(Vec<Value>, Option<anyhow::Error>)> {
    let server = world.server(kind).await?;
    let began = Timestamp::now();
    let fixture = server.fixture(&scenario.users, scenario.forgetful).await?;
    if let Some(user) = &scenario.fence {
        server.fence(&fixture, user).await?;
    }
    let exchange = exchange::run(scenario, &fixture).await;
    let known = Known::of(&fixture, scenario.ranks_times, began);
    Ok((normalise::normalise(&exchange.answers, &known), exchange.broke))
}

fn failed(error: impl Into<anyhow::Error>) -> Failed {
    Failed::from(format!("{:#}", error.into()))
}
