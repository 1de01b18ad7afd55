//! Random sequences of writes by several clients get the same answers from both servers, and leave the same Leases.
//!
//! Each sequence runs in its own namespace, and so does each of its shortened forms when it fails.

mod seen;
mod turn;

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use k8s_openapi::jiff::Timestamp;
use proptest::collection::vec;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestError, TestRunner};
use serde_json::Value;
use still_leading_testbed::ServerKind;

use crate::exchange::Session;
use crate::judge::compare;
use crate::normalise::{Known, normalise};
use crate::scenario::Request;
use crate::server::{Embedded, Server};
use crate::world::World;
use seen::Seen;
use turn::Turn;

/// The number of sequences. They take a few seconds.
const CASES: u32 = 64;
const TURNS_MAX: usize = 16;
/// Any number will do. It is always the same, so that a run without the variables fails either always or never.
const SEED: u64 = 1937;
const CASES_VARIABLE: &str = "STILL_LEADING_CASES";
const SEED_VARIABLE: &str = "STILL_LEADING_SEED";

/// # Errors
/// The shortest sequence that shows a difference.
pub fn agree(world: &World) -> Result<()> {
    let cases = number(CASES_VARIABLE)?;
    let seed = match (number(SEED_VARIABLE)?, cases) {
        (Some(seed), _) => seed,
        (None, None) => SEED,
        (None, Some(_)) => Timestamp::now().as_nanosecond() as u64,
    };
    let cases = cases.map_or(Ok(CASES), u32::try_from).context(CASES_VARIABLE)?;
    // Each shortened form costs as much as a case.
    let config = Config {
        cases,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        max_shrink_iters: 500,
        ..Config::default()
    };
    let ended = TestRunner::new(config).run(&vec(turn::turn(), 1..=TURNS_MAX), |turns| {
        let compared = world.run(differences(world, &turns));
        match compared {
            Ok(None) => Ok(()),
            Ok(Some(differences)) => Err(TestCaseError::fail(differences)),
            Err(error) => Err(TestCaseError::fail(format!("{error:#}"))),
        }
    });
    match ended {
        Ok(()) => Ok(()),
        Err(TestError::Fail(reason, _)) => {
            bail!("{SEED_VARIABLE}={seed} {CASES_VARIABLE}={cases}\n{}", reason.message())
        }
        Err(TestError::Abort(reason)) => bail!("{}", reason.message()),
    }
}

fn number(variable: &str) -> Result<Option<u64>> {
    match std::env::var(variable) {
        Ok(text) if !text.is_empty() => text.parse().map(Some).with_context(|| format!("{variable}={text}")),
        _ => Ok(None),
    }
}

/// Returns the differences in words, if there are any.
async fn differences(world: &World, turns: &[Turn]) -> Result<Option<String>> {
    // Each sequence has its own embedded server, since a long search would fill one.
    let (real, embedded) =
        (world.server(ServerKind::Real).await?, Server::Embedded(Box::new(Embedded::start().await?)));
    let (real, embedded) = tokio::try_join!(play(&real, turns), play(&embedded, turns))?;
    let found = compare(&real.answers, &embedded.answers);
    let Some(first) = found.first().map(|it| it.step) else { return Ok(None) };
    let mut lines = vec!["the embedded server answers the last of these differently:".to_owned()];
    lines.extend(real.requests.into_iter().take(first));
    lines.extend(found.iter().filter(|it| it.step == first).map(ToString::to_string));
    Ok(Some(lines.join("\n")))
}

/// The requests in words, and the normalised answers.
struct Played {
    requests: Vec<String>,
    answers: Vec<Value>,
}

async fn play(server: &Server, turns: &[Turn]) -> Result<Played> {
    let began = Timestamp::now();
    let fixture = server.fixture(&BTreeMap::new(), false).await?;
    let mut session = Session::new(&fixture);
    let (mut seen, mut requests, mut answers) = (Seen::default(), Vec::new(), Vec::new());
    let last = turn::list();
    for make in turns.iter().map(Some).chain([None]) {
        let request: Request = make.map_or_else(|| last.clone(), |turn| turn.request(&seen));
        let answer = session.request(&request).await.with_context(|| format!("{request:?}"))?;
        seen.note(&answer);
        requests.push(turn::describe(&request));
        answers.push(answer);
    }
    let answers = normalise(&answers, &Known::of(&fixture, false, began));
    Ok(Played { requests, answers })
}
