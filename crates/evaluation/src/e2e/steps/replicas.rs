//! What is done to the replicas by way of the API server, as one would do it by hand: they are counted, deleted, rolled
//! out anew, moved off a node and scaled.

use anyhow::{Result, bail};
use still_leading_testbed::history::judge::{Gap, Term, Verdict, changes, no_gap};

use crate::e2e::faults::NodeFault;
use crate::e2e::fixture::{Fixture, REPLICAS};
use crate::e2e::found::{Found, told, unknown};
use crate::e2e::pod::Pod;
use crate::e2e::pods::TERMINATING;
use crate::e2e::record::figure;
use crate::e2e::{Stop, now, seconds};

pub(super) async fn ready(fixture: &Fixture<'_>) -> Result<Found> {
    fixture.ready(REPLICAS).await?;
    let mut nodes: Vec<String> = fixture.pods().into_iter().map(|pod| pod.node).collect();
    nodes.sort();
    nodes.dedup();
    let on = if nodes.len() == 1 { "one node".to_owned() } else { format!("{} nodes", nodes.len()) };
    Ok(Found::said(format!("{REPLICAS} replicas Ready on {on}")))
}

pub(super) async fn leader(fixture: &Fixture<'_>) -> Result<Found> {
    let leader = fixture.leader().await?;
    Ok(Found::said(format!("{} leads, by the logs alone and by the Lease too", leader.name)))
}

/// By force means by force of a number: three show whether it differs.
const FORCED: usize = 3;

pub(super) async fn delete(fixture: &Fixture<'_>, trials: usize) -> Result<Found> {
    let took = repeat(fixture, trials, &[]).await?;
    Ok(Found::said(format!("hand-over in {} after kubectl delete pod", told(&took))).with(figure::HANDOVER, took))
}

pub(super) async fn force_delete(fixture: &Fixture<'_>) -> Result<Found> {
    let took = repeat(fixture, FORCED, &["--force", "--grace-period=0"]).await?;
    let said = format!("hand-over in {} after kubectl delete pod --force --grace-period=0", told(&took));
    Ok(Found::said(said).with(figure::HANDOVER, took))
}

/// The seconds from each deletion to the successor's `leading`.
async fn repeat(fixture: &Fixture<'_>, trials: usize, flags: &[&str]) -> Result<Vec<f64>> {
    let mut took = Vec::new();
    for trial in 0..trials {
        let leader = at_some_moment(fixture, trial).await?;
        let at = fixture.kubectl(&[&["delete", "pod", &leader.name], flags].concat()).await?;
        took.push(seconds(at, fixture.successor(&leader, at).await?.from));
    }
    fixture.calm().await?;
    Ok(took)
}

/// The leader, at a moment that is not in step with its renewals.
async fn at_some_moment(fixture: &Fixture<'_>, trial: usize) -> Result<Pod> {
    fixture.calm().await?;
    fixture.pass_time(trial).await;
    fixture.leader().await
}

pub(super) async fn drain(fixture: &Fixture<'_>) -> Result<Found> {
    if fixture.cluster.open_nodes().await? < 2 {
        return Err(Stop::NotTried("the pods of a drained node need another node".to_owned()).into());
    }
    let leader = at_some_moment(fixture, 0).await?;
    let cordoned = NodeFault::Cordoned { context: fixture.cluster.target.context.clone(), node: leader.node.clone() };
    fixture.cluster.active_faults.add(&cordoned);
    // Only our pods: others on this node, such as those of DNS, are not to be measured.
    let selector = format!("--pod-selector=app.kubernetes.io/instance={}", fixture.name);
    let words = ["drain", &leader.node, "--ignore-daemonsets", "--delete-emptydir-data", &selector, "--timeout=240s"];
    let at = fixture.kubectl(&words).await?;
    let successor = fixture.successor(&leader, at).await?;
    fixture.ready(REPLICAS).await?;
    let fewest = fixture.fewest_available(at);
    fixture.heal(&cordoned).await?;
    fixture.calm().await?;

    let took = since_eviction(fixture, &leader, at, &successor);
    let said =
        format!("hand-over in {took:.2} s after the eviction by kubectl drain; never fewer than {fewest} available");
    let found = Found::said(said).with(figure::HANDOVER, vec![took]).with(figure::AVAILABLE, vec![fewest as f64]);
    Ok(Found { is_broken: fewest + 1 < REPLICAS as u64, ..found })
}

/// With two replicas on the node the budget lets one go after the other, and the leader, if it is the second, leads on
/// meanwhile: so not since the drain began.
fn since_eviction(fixture: &Fixture<'_>, leader: &Pod, drained: u64, successor: &Term) -> f64 {
    let events = fixture.history.events();
    let evicted = events.iter().find(|it| it.replica == leader.name && it.message == TERMINATING);
    seconds(evicted.map_or(drained, |event| event.at), successor.from)
}

pub(super) async fn rollout(fixture: &Fixture<'_>) -> Result<Found> {
    fixture.calm().await?;
    let deployment = format!("deployment/{}", fixture.name);
    let from = fixture.kubectl(&["rollout", "restart", &deployment]).await?;
    fixture.kubectl(&["rollout", "status", &deployment, "--timeout=240s"]).await?;
    // The last one to be replaced may have led.
    fixture.calm().await?;
    fixture.read_up().await?;
    let (events, until) = (fixture.history.events(), now());
    let changes = changes(&events, from, until);
    let gap = match no_gap(&events, from, until) {
        Verdict::Held => 0.0,
        Verdict::Violated(gaps) => gaps.iter().map(Gap::length).max().unwrap_or_default().as_secs_f64(),
        Verdict::Unknown(doubts) => bail!(unknown(&doubts)),
    };
    let times = if changes == 1 { "once" } else { &format!("{changes} times") };
    let said =
        format!("the leader changed {times}, with nobody leading for {gap:.2} s at most, in a kubectl rollout restart");
    Ok(Found::said(said).with(figure::CHANGES, vec![changes as f64]).with(figure::GAP, vec![gap]))
}

pub(super) async fn scale(fixture: &Fixture<'_>) -> Result<Found> {
    fixture.calm().await?;
    for replicas in [1, 5, REPLICAS] {
        let flag = format!("--replicas={replicas}");
        fixture.kubectl(&["scale", &format!("deployment/{}", fixture.name), &flag]).await?;
        fixture.ready(replicas).await?;
        fixture.leader().await?;
    }
    Ok(Found::said(format!("one of 1, of 5 and of {REPLICAS} replicas leads after kubectl scale")))
}
