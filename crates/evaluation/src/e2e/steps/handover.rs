//! The leader's pod is taken away, in three ways, each as one would do it by hand.

use anyhow::Result;
use still_leading_testbed::history::judge::Term;

use super::{Found, told};
use crate::e2e::ground::{Ground, REPLICAS};
use crate::e2e::heal::Wound;
use crate::e2e::pods::{Pod, TERMINATING};
use crate::e2e::record::figure;
use crate::e2e::{Stop, seconds};

/// By force means by force of a number: three show whether it differs.
const FORCED: usize = 3;

pub(super) async fn delete(ground: &Ground<'_>, trials: usize) -> Result<Found> {
    let took = repeat(ground, trials, &[]).await?;
    Ok(Found::said(format!("hand-over in {} after kubectl delete pod", told(&took))).with(figure::HANDOVER, took))
}

pub(super) async fn force_delete(ground: &Ground<'_>) -> Result<Found> {
    let took = repeat(ground, FORCED, &["--force", "--grace-period=0"]).await?;
    let said = format!("hand-over in {} after kubectl delete pod --force --grace-period=0", told(&took));
    Ok(Found::said(said).with(figure::HANDOVER, took))
}

/// The seconds from each deletion to the successor's `leading`.
async fn repeat(ground: &Ground<'_>, trials: usize, flags: &[&str]) -> Result<Vec<f64>> {
    let mut took = Vec::new();
    for trial in 0..trials {
        let leader = at_some_moment(ground, trial).await?;
        let at = ground.kubectl(&[&["delete", "pod", &leader.name], flags].concat()).await?;
        took.push(seconds(at, ground.successor(&leader, at).await?.from));
    }
    ground.calm().await?;
    Ok(took)
}

/// The leader, at a moment that is not in step with its renewals.
async fn at_some_moment(ground: &Ground<'_>, trial: usize) -> Result<Pod> {
    ground.calm().await?;
    ground.pass_time(trial).await;
    ground.leader().await
}

pub(super) async fn drain(ground: &Ground<'_>) -> Result<Found> {
    if ground.cluster.open_nodes().await? < 2 {
        return Err(Stop::NotTried("the pods of a drained node need another node".to_owned()).into());
    }
    let leader = at_some_moment(ground, 0).await?;
    let cordoned = Wound::Cordoned { context: ground.cluster.target.context.clone(), node: leader.node.clone() };
    ground.cluster.ward.admit(&cordoned);
    // Only our pods: others on this node, such as those of DNS, are not to be measured.
    let selector = format!("--pod-selector=app.kubernetes.io/instance={}", ground.name);
    let words = ["drain", &leader.node, "--ignore-daemonsets", "--delete-emptydir-data", &selector, "--timeout=240s"];
    let at = ground.kubectl(&words).await?;
    let successor = ground.successor(&leader, at).await?;
    ground.ready(REPLICAS).await?;
    let fewest = ground.fewest_available(at);
    ground.heal(&cordoned).await?;
    ground.calm().await?;

    let took = since_eviction(ground, &leader, at, &successor);
    let said =
        format!("hand-over in {took:.2} s after the eviction by kubectl drain; never fewer than {fewest} available");
    let found = Found::said(said).with(figure::HANDOVER, vec![took]).with(figure::AVAILABLE, vec![fewest as f64]);
    Ok(Found { is_broken: fewest + 1 < REPLICAS as u64, ..found })
}

/// With two replicas on the node the budget lets one go after the other, and the leader, if it is the second, leads on
/// meanwhile: so not since the drain began.
fn since_eviction(ground: &Ground<'_>, leader: &Pod, drained: u64, successor: &Term) -> f64 {
    let events = ground.history.events();
    let evicted = events.iter().find(|it| it.replica == leader.name && it.message == TERMINATING);
    seconds(evicted.map_or(drained, |event| event.at), successor.from)
}
