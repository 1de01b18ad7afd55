//! What happens to the node of the leader, by way of its container.

use std::time::Duration;

use anyhow::{Result, bail};
use still_leading_testbed::Timings;
use still_leading_testbed::history::judge::{StaleAct, Verdict, no_stale_act};
use tokio::time::sleep;

use crate::e2e::command::Command;
use crate::e2e::faults::NodeFault;
use crate::e2e::fixture::{BOUND, Fixture};
use crate::e2e::found::{Found, told, unknown};
use crate::e2e::pod::Pod;
use crate::e2e::record::{counts as listed, figure};
use crate::e2e::{Stop, now, seconds};

/// How far past its lease a node is frozen at least. The API server takes a node for dead after 40 to 50 s.
pub(super) const PAST_THE_LEASE: Duration = Duration::from_secs(10);
/// Longer than a leader goes on without a renewal, and than it takes to find out that somebody else leads.
pub(super) const AFTER_THE_THAW: Duration = Duration::from_secs(20);
/// How long a node is cut off: longer than a lease, and shorter than the API server takes to notice.
const CUT: Duration = Duration::from_secs(30);

pub(super) async fn freeze(fixture: &Fixture<'_>, times: usize) -> Result<Found> {
    let (mut takeovers, mut counts, mut lasting) = (Vec::new(), Vec::new(), Vec::new());
    for trial in 0..times {
        let leader = on_a_worker(fixture, trial).await?;
        let frozen = NodeFault::Frozen(leader.node.clone());
        let at = fixture.inject(&frozen).await?;
        let successor = fixture.successor(&leader, at).await?;
        let end = Timings::default().lease_duration + PAST_THE_LEASE;
        sleep_until(at, end).await;
        let thawed = fixture.heal(&frozen).await?;
        sleep_until(thawed, AFTER_THE_THAW).await;
        let stale = stale_since(fixture, at).await?;
        takeovers.push(seconds(at, successor.from));
        counts.push(stale.len() as f64);
        lasting.push(stale.last().map_or(0.0, |last| seconds(thawed, last.at)));
        fixture.calm().await?;
    }
    let acts = counts.iter().sum::<f64>();
    let after = if acts == 0.0 {
        "not one act of the old leader after the thaw".to_owned()
    } else {
        let (counts, most) = (listed(&counts).unwrap_or_default(), lasting.iter().copied().fold(0.0, f64::max));
        format!("STALE ACTS of the old leader after the thaw: {counts}, the last {most:.1} s after it")
    };
    let found = Found::said(format!("take-over {} after docker pause; {after}", told(&takeovers)))
        .with(figure::HANDOVER, takeovers)
        .with(figure::STALE_ACTS, counts)
        .with(figure::STALE_FOR, lasting);
    Ok(Found { is_broken: acts > 0.0, ..found })
}

pub(super) async fn cut(fixture: &Fixture<'_>) -> Result<Found> {
    let leader = on_a_worker(fixture, 0).await?;
    let cut = NodeFault::Cut(leader.node.clone());
    let at = fixture.inject(&cut).await?;
    let took = seconds(at, fixture.successor(&leader, at).await?.from);
    sleep_until(at, CUT).await;
    let healed = fixture.heal(&cut).await?;
    fixture.calm().await?;
    let acts = stale_since(fixture, at).await?.len();
    let own = fixture.terms().into_iter().rfind(|term| term.replica == leader.name && term.from <= at);
    let stopped = own.and_then(|term| term.until).filter(|until| *until <= healed).map(|until| seconds(at, until));

    let by_itself = stopped.map_or("DID NOT STOP by itself".to_owned(), |after| format!("stopped after {after:.2} s"));
    let stale = if acts == 0 { "no stale act".to_owned() } else { format!("STALE ACTS: {acts}") };
    let said = format!("cut off, the leader {by_itself}, and its successor led after {took:.2} s; {stale}");
    let found = Found::said(said)
        .with(figure::STOPPED, stopped.into_iter().collect())
        .with(figure::HANDOVER, vec![took])
        .with(figure::STALE_ACTS, vec![acts as f64]);
    Ok(Found { is_broken: acts > 0 || stopped.is_none(), ..found })
}

/// The leader, if its node can be handled as a container without harm to the API server.
pub(super) async fn on_a_worker(fixture: &Fixture<'_>, trial: usize) -> Result<Pod> {
    let Some(cluster) = &fixture.cluster.target.kind else {
        return Err(Stop::NotTried("only the nodes of kind are containers of this machine".to_owned()).into());
    };
    fixture.calm().await?;
    fixture.pass_time(trial).await;
    let leader = fixture.leader().await?;
    let labels = r#"{{index .Config.Labels "io.x-k8s.kind.cluster"}} {{index .Config.Labels "io.x-k8s.kind.role"}}"#;
    let said = Command::new(["docker", "inspect", "--format", labels, &leader.node]).run().await;
    let not_tried = |said: String| Err(Stop::NotTried(said).into());
    match said {
        Ok(said) if said.trim() == format!("{cluster} worker") => Ok(leader),
        Ok(said) if said.trim() == format!("{cluster} control-plane") => {
            not_tried(format!("the leader is on {}, beside the API server: it takes a worker", leader.node))
        }
        _ => not_tried(format!("{} is no container of the kind cluster {cluster} on this machine", leader.node)),
    }
}

/// Stale acts since `at`, when all logs have been read up to now.
async fn stale_since(fixture: &Fixture<'_>, at: u64) -> Result<Vec<StaleAct>> {
    fixture.read_up().await?;
    match no_stale_act(&fixture.history.events(), |time| time > at) {
        Verdict::Held => Ok(Vec::new()),
        Verdict::Violated(acts) => Ok(acts),
        Verdict::Unknown(doubts) => bail!(unknown(&doubts)),
    }
}

/// Sleeps until so long after a moment of the wall clock, if that is still to come.
pub(super) async fn sleep_until(at: u64, after: Duration) {
    let passed = Duration::from_nanos(now().saturating_sub(at));
    sleep(after.saturating_sub(passed).min(BOUND)).await;
}
