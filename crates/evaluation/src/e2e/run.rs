//! One variant from its deployment to its removal.

use std::fs;
use std::ops::RangeInclusive;

use anyhow::{Context, Result, bail};
use still_leading_testbed::Variant;
use still_leading_testbed::history::judge::{Overlap, Verdict, no_stale_act, overlaps};

use super::args::Args;
use super::cluster::Cluster;
use super::fixture::Fixture;
use super::found::{Found, unknown};
use super::record::{Outcome, Tried, figure, line};
use super::skaffold::{folder, skaffold};
use super::step::{Step, reason};
use super::steps::take;
use super::{Stop, now};

/// Tries `variant`, and prints a line for each step.
pub async fn variant(cluster: &Cluster, args: &Args, variant: Variant) -> Vec<Tried> {
    println!("{variant}");
    let mut all = Vec::new();
    let mut tell = |tried: Tried| {
        println!("{}", line(&tried));
        let is_fine = tried.is_fine();
        all.push(tried);
        is_fine
    };
    let is_there = !args.deploys() || tell(tried(variant, Step::Deploy, deploy(cluster, variant).await));
    if is_there {
        match Fixture::observe(cluster, variant).await {
            Ok(fixture) if fixture.pods().is_empty() => {
                let said = format!("there is no pod of it: skaffold run -p {variant}");
                tell(tried(variant, Step::Ready, Err(Stop::Broken(said).into())));
            }
            Ok(fixture) => observed(&fixture, args, variant, &mut tell).await,
            Err(error) => {
                tell(tried(variant, Step::Ready, Err(error)));
            }
        }
    }
    if args.removes() {
        tell(tried(variant, Step::Remove, remove(cluster, variant).await));
    }
    all
}

/// The steps between, and what is true of all of them.
async fn observed(fixture: &Fixture<'_>, args: &Args, variant: Variant, tell: &mut impl FnMut(Tried) -> bool) {
    let mut apart = Vec::new();
    for step in args.steps().into_iter().filter(|step| step.is_for(variant)) {
        let from = now();
        let mut found = take(step, fixture, args).await;
        // What a step has healed itself is not on the list any more.
        if let Err(error) = fixture.heal_all().await {
            found = found.and(Err(error.context("healing the cluster")));
        }
        if step.counts_stale_acts() {
            apart.push(from..=now());
        }
        tell(tried(variant, step, found));
    }
    if !args.verify {
        tell(tried(variant, Step::OneLeader, one_leader(fixture, &apart).await));
        if let Err(error) = keep_events(fixture, variant) {
            eprintln!("    {error:#}");
        }
    }
}

async fn deploy(cluster: &Cluster, variant: Variant) -> Result<Found> {
    let took = skaffold("run", variant, &cluster.target.context).await?.as_secs_f64();
    Ok(Found::said(format!("skaffold run -p {variant} took {took:.0} s")).with(figure::TOOK, vec![took.round()]))
}

async fn remove(cluster: &Cluster, variant: Variant) -> Result<Found> {
    skaffold("delete", variant, &cluster.target.context).await?;
    Fixture::gone(cluster, variant).await?;
    Ok(Found::said(format!("nothing is left after skaffold delete -p {variant}")))
}

/// In all this no replica acted in a term that was over. The steps in `apart` have said for themselves whether one did.
async fn one_leader(fixture: &Fixture<'_>, apart: &[RangeInclusive<u64>]) -> Result<Found> {
    fixture.read_up().await?;
    let events = fixture.history.events();
    let acts = match no_stale_act(&events, |at| !apart.iter().any(|time| time.contains(&at))) {
        Verdict::Held => 0,
        Verdict::Violated(acts) => acts.len(),
        Verdict::Unknown(doubts) => bail!(unknown(&doubts)),
    };
    let (end, seconds) = (now(), super::seconds);
    let length = |it: Overlap| seconds(it.from, it.until.unwrap_or(end));
    let overlap = overlaps(&events).into_iter().map(length).fold(0.0, f64::max);
    let elsewhere = if apart.is_empty() { "" } else { " but for what freeze and cut tell" };
    let said = if acts == 0 { "no stale act".to_owned() } else { format!("STALE ACTS: {acts}") };
    let said = format!("{said}{elsewhere}; two terms overlapped for {overlap:.2} s at most");
    let found = Found::said(said).with(figure::STALE_ACTS, vec![acts as f64]).with(figure::OVERLAP, vec![overlap]);
    Ok(Found { is_broken: acts > 0, ..found })
}

/// For whoever wants to know how it came about.
fn keep_events(fixture: &Fixture<'_>, variant: Variant) -> Result<()> {
    let path = folder(variant).join("events.txt");
    fs::create_dir_all(folder(variant)).with_context(|| format!("making {}", folder(variant).display()))?;
    fs::write(&path, fixture.history.table()).with_context(|| format!("writing {}", path.display()))
}

/// What is recorded of a step. A row of the expected breaks stands beside a kept promise too.
fn tried(variant: Variant, step: Step, found: Result<Found>) -> Tried {
    let expected = reason(variant, step).map(str::to_owned);
    let (outcome, found) = match found {
        Ok(found) if found.is_broken => (Outcome::Broken, found),
        Ok(found) => (Outcome::Kept, found),
        Err(error) => {
            let outcome = match error.downcast_ref::<Stop>() {
                Some(Stop::Broken(_)) => Outcome::Broken,
                Some(Stop::NotTried(_)) => Outcome::NotTried,
                None => Outcome::Error,
            };
            (outcome, Found::said(format!("{error:#}")))
        }
    };
    Tried { step, outcome, expected, figures: found.figures, said: found.said }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::anyhow;

    const NATIVE: Variant = Variant::Native;

    #[test]
    fn an_error_is_told_apart_from_a_break_and_from_what_was_not_tried() {
        let outcome = |found| tried(NATIVE, Step::Cut, found).outcome;
        assert_eq!(outcome(Ok(Found::default())), Outcome::Kept);
        assert_eq!(outcome(Ok(Found { is_broken: true, ..Found::default() })), Outcome::Broken);
        assert_eq!(outcome(Err(Stop::Broken("nobody".to_owned()).into())), Outcome::Broken);
        assert_eq!(outcome(Err(Stop::NotTried("no kind".to_owned()).into())), Outcome::NotTried);
        assert_eq!(outcome(Err(anyhow!("no kubectl"))), Outcome::Error);
    }

    #[test]
    fn what_may_break_is_recorded_with_its_reason_even_if_it_was_kept() {
        assert!(tried(Variant::ClientGo, Step::Freeze, Ok(Found::default())).expected.is_some());
        assert_eq!(tried(NATIVE, Step::Freeze, Ok(Found::default())).expected, None);
    }
}
