//! What a seed stands for: who takes part, with which timings and clocks, and what goes wrong when.
//!
//! Safety is promised under these assumptions, which every plan keeps:
//!
//! - Clock rates differ by less than the ratio of lease duration to renew deadline.
//! - Where durations differ from replica to replica so far that one's renew deadline exceeds another's lease duration,
//!   the Lease is deleted only while every process knows its holder, and no process starts later: one that never saw the
//!   old Lease cannot know how long its holder may go on.
//! - Nobody shortens or clears the claim of a live replica by hand. A thief claims for at least the lease duration. A
//!   holder is cleared only if no live process has that name, and a renew deadline after it changed.
//! - A restore from a backup that was not preceded by an outage of a renew deadline finds every process informed of who
//!   leads, and the backup names a holder. No resourceVersion is given twice.
//! - The clocks of the API servers, which date the creation of the Lease, agree and run at the right rate.

use std::time::Duration;

use fastrand::Rng;
use still_leading::internals::Timing;

use crate::fault::{Fault, Name, Named, Target, What};
use crate::time::{MILLI, Ns, SECOND, nanos};

/// A backup that is restored without an outage is at most this old. Older ones differ in nothing that matters.
const BACKUP_AGE_MAX: Ns = 60 * SECOND;
/// Faults begin within this time.
const FAULTS_UNTIL: Ns = 150 * SECOND;
/// Fewer than so many.
const FAULTS_MAX: usize = 26;
/// Fewer hand-overs than so many, in a history that has any.
const HAND_OVERS_MAX: usize = 6;
/// What goes wrong lasts for at most this time.
const LASTS_MAX: Ns = 30 * SECOND;
/// Each history lasts at least this long.
const LENGTH_MIN: Ns = 300 * SECOND;

/// A fault that lasts so long does not end.
pub const FOR_EVER: Ns = 3_600 * SECOND;

/// One replica.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Its durations; the identity is that of its first process.
    pub timing: Timing,
    /// How fast its clock runs.
    pub rate: f64,
    /// When its first process starts.
    pub starts: Ns,
}

/// What the Lease is when the history begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Initially {
    /// There is none.
    Absent,
    /// It is empty and old, as the deployment kit ships it.
    Empty,
    /// A process that is gone holds it.
    Held,
}

/// One history before it happens.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where all chance comes from.
    pub seed: u64,
    /// How many times longer everything lasts than it is written here. The real driver's timers count milliseconds, so
    /// it is run a thousand times slower.
    pub scale: u64,
    /// Every time is rounded up to a multiple of this.
    pub quantum: Ns,
    /// Who takes part.
    pub replicas: Vec<Spec>,
    /// The Lease is deleted only while every process knows its holder.
    pub deletes_the_known: bool,
    /// The network has no noise besides its faults.
    pub is_quiet: bool,
    /// What there is at the beginning.
    pub initially: Initially,
    /// What goes wrong, by time.
    pub faults: Vec<Fault>,
    /// When the last fault is over. Nothing that is sent after that is lost or late.
    pub healed: Ns,
    /// How long after that somebody must lead.
    pub bound: Ns,
    /// When the history ends.
    pub ends: Ns,
}

/// How the durations of the replicas relate.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Mix {
    /// All the same.
    Uniform,
    /// Each renew deadline is shorter than each lease duration.
    Near,
    /// Anything, so the Lease is not deleted.
    Wide,
    /// Anything, and the Lease is deleted, but no process starts later.
    Known,
}

impl Plan {
    /// What `seed` stands for.
    pub fn of(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let mix = *pick(
            &mut rng,
            &[Mix::Uniform, Mix::Uniform, Mix::Uniform, Mix::Uniform, Mix::Near, Mix::Wide, Mix::Known],
        );
        let timings = timings(&mut rng, mix);
        let drift = drift(&timings, mix);
        let replica = |(slot, timing): (usize, Timing)| Spec {
            timing: Timing { identity: identity(slot, 0), ..timing },
            // The extremes are what the promise is about.
            rate: 1.0 + drift * *pick(&mut rng, &[-1.0, -1.0, 1.0, 1.0, 0.0, 0.3]),
            starts: rng.u64(0..3 * SECOND),
        };
        let replicas: Vec<Spec> = timings.into_iter().enumerate().map(replica).collect();
        let initially = *pick(&mut rng, &[Initially::Empty, Initially::Empty, Initially::Absent, Initially::Held]);
        let mut plan = Self {
            seed,
            scale: 1,
            quantum: 1,
            replicas,
            deletes_the_known: mix == Mix::Known,
            is_quiet: false,
            initially,
            faults: Vec::new(),
            healed: 0,
            bound: 0,
            ends: LENGTH_MIN,
        };
        plan.faults = plan.random_faults(&mut rng, mix);
        plan.prefer();
        plan.set_bounds();
        plan
    }

    /// The same with other faults.
    #[must_use]
    pub fn with_faults(mut self, faults: Vec<Fault>) -> Self {
        self.faults = faults;
        self.set_bounds();
        self
    }

    /// Half of the histories have generations, and half have hand-overs. By chance of its own, so that the other histories are
    /// what they are without.
    fn prefer(&mut self) {
        let mut rng = Rng::with_seed(self.seed ^ 0x9e4e_5eed);
        if rng.bool() {
            for spec in &mut self.replicas {
                spec.timing.generation = pick(&mut rng, &[None, Some("old"), Some("new")]).map(str::to_owned);
            }
        }
        if rng.bool() {
            let replicas = self.replicas.len();
            let fault = |_| Fault {
                at: rng.u64(2 * SECOND..FAULTS_UNTIL),
                lasts: 0,
                target: if rng.u8(0..4) == 0 { Target::Leader } else { Target::Replica(rng.usize(0..replicas)) },
                what: match rng.u8(0..6) {
                    0 => What::HandOver(Named::Nobody),
                    1 => What::Yield,
                    2 => What::Wish,
                    _ => What::HandOver(Named::It),
                },
            };
            let number = Rng::with_seed(self.seed ^ 0x5eed).usize(1..HAND_OVERS_MAX);
            self.faults.extend((0..number).map(fault));
            self.faults.sort_by_key(|fault| fault.at);
        }
    }

    /// The same at a thousandth of the speed, so that a timer that counts milliseconds is as good as one that counts
    /// microseconds.
    pub fn slowly(mut self) -> Self {
        const FACTOR: u32 = 1000;
        for spec in &mut self.replicas {
            let timing = &mut spec.timing;
            for duration in [
                &mut timing.lease_duration,
                &mut timing.renew_deadline,
                &mut timing.retry_period,
                &mut timing.spread_after_release,
                &mut timing.spread_after_expiry,
                &mut timing.head_start,
            ] {
                *duration *= FACTOR;
            }
            spec.starts *= u64::from(FACTOR);
        }
        for fault in &mut self.faults {
            (fault.at, fault.lasts) = (fault.at * u64::from(FACTOR), fault.lasts * u64::from(FACTOR));
            match &mut fault.what {
                What::Lag(time) | What::Delete(Some(time)) | What::Restore(time, _) => *time *= u64::from(FACTOR),
                What::Thief(_, Some(seconds)) => *seconds = seconds.saturating_mul(FACTOR as i32),
                _ => {}
            }
        }
        (self.scale, self.quantum) = (u64::from(FACTOR), MILLI);
        self.set_bounds();
        self
    }

    /// The longest time, in virtual nanoseconds, for which a term goes on without being renewed.
    pub fn longest_term(&self) -> Ns {
        self.longest(|spec| spec.timing.renew_deadline)
    }

    /// The longest lease duration, in virtual nanoseconds.
    pub fn longest_lease(&self) -> Ns {
        self.longest(|spec| spec.timing.lease_duration)
    }

    /// The shortest time-out of an attempt, in virtual nanoseconds.
    pub fn shortest_attempt(&self) -> Ns {
        let time = |spec: &Spec| (nanos(spec.timing.attempt_timeout()) as f64 / spec.rate) as Ns;
        self.replicas.iter().map(time).min().unwrap_or(0)
    }

    /// The delay of a late write: anything, or just too long to lead by it and short enough to keep the Lease fresh.
    pub fn late(&self) -> (Ns, Ns) {
        let term = self.longest_term();
        if self.seed.is_multiple_of(2) { (term / 3, term * 3) } else { (term, term + term / 20) }
    }

    fn longest(&self, of: impl Fn(&Spec) -> Duration) -> Ns {
        let time = |spec: &Spec| (nanos(of(spec)) as f64 / spec.rate) as Ns;
        self.replicas.iter().map(time).max().unwrap_or(0)
    }

    /// Works out when all is well, and how long it may take from there until somebody leads.
    ///
    /// First the last request of the bad time arrives. A stranger's long claim is cleared by hand a renew
    /// deadline later. An elector learns of that after at most a hanging attempt, a retry period and a renew deadline: so
    /// long may a stalled watch be silent. Then it waits for the claim that it sees, at most a lease duration. If that
    /// claim was its own, given up and late, it waits once more. If the Lease was made anew or restored, the first wait is
    /// [`Timing::longest_wait`] instead. Then it takes a retry period to write, and another one if the first write is
    /// lost to another standby.
    ///
    /// A hand-over that was asked for in the bad time may happen once somebody leads: it is accepted or dropped within two retry
    /// periods, then the work ends, the Lease is released, and the next leader writes after two head starts at most.
    ///
    /// If one replica stays ill, it may acquire the Lease and lose it again and again. Then somebody must lead once within
    /// each such time.
    fn set_bounds(&mut self) {
        let has = |is: fn(&What) -> bool| self.faults.iter().any(|fault| is(&fault.what));
        self.healed = self.last_end();
        // A request of the ordinary noise takes up to six seconds to arrive.
        let arrive = if has(|what| *what == What::Late) { self.late().1 } else { 6 * SECOND * self.scale };
        let clear = if has(|what| matches!(what, What::Thief(..))) { self.longest_term() } else { 0 };
        let is_anew = self.initially == Initially::Absent
            || has(|what| matches!(what, What::Delete(_) | What::Restore(..) | What::Thief(..)));
        let claim = self.longest_lease();
        let wait = if is_anew { self.longest(|spec| spec.timing.longest_wait()) } else { claim };
        let learn = self.longest_term() + self.longest(|spec| spec.timing.attempt_timeout() + spec.timing.retry_period);
        let write = self.longest(|spec| spec.timing.retry_period * 2 + spec.timing.spread_after_expiry);
        let is_handed_over = has(|what| matches!(what, What::HandOver(_) | What::Wish | What::Yield));
        let agree =
            |spec: &Spec| spec.timing.retry_period * 3 + spec.timing.attempt_timeout() + spec.timing.head_start * 2;
        let hand_over = if is_handed_over { self.longest(agree) + write } else { 0 };
        self.bound = arrive.max(clear) + learn + wait + claim + write + hand_over + SECOND * self.scale;
        // Long enough to see that it happens again.
        let gap = if self.has_chronic() { self.bound } else { 0 };
        self.ends = (LENGTH_MIN * self.scale).max(self.healed + self.bound + gap);
    }

    /// When the last fault that ends has ended.
    pub fn last_end(&self) -> Ns {
        let ends = self.faults.iter().filter(|fault| fault.lasts < FOR_EVER * self.scale);
        ends.map(Fault::end).max().unwrap_or(0)
    }

    /// Whether one replica stays ill.
    pub fn has_chronic(&self) -> bool {
        self.faults.iter().any(|fault| fault.lasts >= FOR_EVER * self.scale)
    }

    /// When a claim that lasts for very long is cleared by hand.
    pub fn cleared(&self) -> Ns {
        self.healed + self.longest_term()
    }

    fn random_faults(&self, rng: &mut Rng, mix: Mix) -> Vec<Fault> {
        let has_restores = mix <= Mix::Near && rng.u8(0..6) == 0;
        let mut faults: Vec<Fault> = (0..rng.usize(0..FAULTS_MAX))
            .map(|_| Fault {
                at: rng.u64(2 * SECOND..FAULTS_UNTIL),
                lasts: rng.u64(SECOND..LASTS_MAX),
                target: if rng.bool() { Target::Leader } else { Target::Replica(rng.usize(0..self.replicas.len())) },
                what: self.random_fault(rng, mix, has_restores),
            })
            .collect();
        // Two faults close to each other find what two alone do not.
        for at in 1..faults.len() {
            if rng.u8(0..3) == 0 {
                faults[at].at = faults[at - 1].at + rng.u64(0..4 * SECOND);
            }
        }
        if rng.u8(0..5) == 0 {
            // One replica stays ill. It must not keep the others from leading.
            let what =
                *pick(rng, &[What::Late, What::Late, What::Cut, What::Deny, What::Halt, What::Starve, What::Stall]);
            let target = Target::Replica(rng.usize(0..self.replicas.len()));
            faults.push(Fault { at: rng.u64(2 * SECOND..FAULTS_UNTIL), lasts: FOR_EVER, target, what });
        }
        faults.sort_by_key(|fault| fault.at);
        faults
    }

    fn random_fault(&self, rng: &mut Rng, mix: Mix, has_restores: bool) -> What {
        let lease = (self.longest_lease() / SECOND + 1) as i32;
        match rng.u8(0..27) {
            0 | 1 => What::Freeze,
            2 => What::Halt,
            3 => What::Starve,
            4 | 5 if mix != Mix::Known => What::Kill,
            6 | 7 if mix != Mix::Known => What::Stop,
            6 => What::Delete(None),
            8 | 9 => What::Cut,
            10 => What::Outage,
            11 | 12 => What::Late,
            13 => *pick(rng, &[What::Mute, What::Slow]),
            14 => *pick(rng, &[What::Errors, What::Deny]),
            15 => *pick(rng, &[What::Forbid, What::Break]),
            16 => *pick(rng, &[What::Stall, What::Slow]),
            17 => What::Lag(rng.u64(SECOND..20 * SECOND)),
            18 | 19 if mix != Mix::Wide => What::Delete(rng.bool().then(|| rng.u64(0..10 * SECOND))),
            20 if has_restores => What::Restore(rng.u64(0..BACKUP_AGE_MAX), rng.bool()),
            21 | 22 => {
                let name = *pick(rng, &[Name::Stranger, Name::Standby, Name::Holder]);
                let absurd = *pick(rng, &[None, Some(i32::MAX), Some(-1)]);
                let is_absurd = rng.u8(0..4) == 0 && (mix == Mix::Uniform || absurd == Some(i32::MAX));
                What::Thief(name, if is_absurd { absurd } else { Some(rng.i32(lease..lease + 20)) })
            }
            23 => What::Clear,
            24 => What::WallJump(*pick(rng, &[-86_400, -3, 3, 7_200, 250_000_000_000, -2_500_000_000])),
            25 => What::WallStop,
            26 => What::Slow,
            _ => What::Edit,
        }
    }
}

/// The name of the replica `slot`, through all of its processes.
pub fn name(slot: usize) -> String {
    format!("r{slot}")
}

/// The identity of the process `incarnation` of the replica `slot`.
pub fn identity(slot: usize, incarnation: u64) -> String {
    format!("{}_{incarnation}", name(slot))
}

fn timings(rng: &mut Rng, mix: Mix) -> Vec<Timing> {
    let replicas = rng.usize(2..5);
    let first = timing(rng, 1.0, None);
    (0..replicas)
        .map(|_| match mix {
            Mix::Uniform => first.clone(),
            // No lease duration is shorter.
            Mix::Near => timing(rng, 1.0, Some(Duration::from_secs(10))),
            Mix::Wide | Mix::Known => {
                let factor = *pick(rng, &[0.5, 1.0, 2.0]);
                timing(rng, factor, None)
            }
        })
        .collect()
}

/// Lease durations of 10 to 15 seconds, times `factor`, with a renew deadline of 60 to 85 percent of that or of `base`,
/// and a retry period that fits into the renew deadline twice to five times.
fn timing(rng: &mut Rng, factor: f64, base: Option<Duration>) -> Timing {
    let lease_duration = Duration::from_secs((rng.u64(10..16) as f64 * factor) as u64);
    let renew_deadline = base.unwrap_or(lease_duration).mul_f64(0.6 + 0.25 * rng.f64());
    let retry_period = renew_deadline.div_f64(2.1 + 3.0 * rng.f64());
    Timing {
        identity: String::new(),
        generation: None,
        hands_over: true,
        lease_duration,
        renew_deadline,
        retry_period,
        spread_after_release: Duration::from_millis(8),
        spread_after_expiry: Duration::from_millis(50),
        head_start: (retry_period / 8).min(Duration::from_millis(250)),
    }
}

/// By how much the rate of a clock may be wrong, so that the slowest leader still ends before the fastest standby begins.
fn drift(timings: &[Timing], mix: Mix) -> f64 {
    let ratio =
        |lease: &Timing, renew: &Timing| lease.lease_duration.as_secs_f64() / renew.renew_deadline.as_secs_f64();
    let pairs = timings.iter().flat_map(|lease| timings.iter().map(move |renew| (lease, renew)));
    let pairs = pairs.filter(|(lease, renew)| mix <= Mix::Near || std::ptr::eq(*lease, *renew));
    let least = pairs.map(|(lease, renew)| ratio(lease, renew)).fold(f64::MAX, f64::min);
    // (1 + drift) / (1 - drift) < least, with a little to spare.
    ((least - 1.0) / (least + 1.0) * 0.98).clamp(0.0, 0.1)
}

fn pick<'a, T>(rng: &mut Rng, from: &'a [T]) -> &'a T {
    &from[rng.usize(0..from.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEEDS: u64 = 2000;

    /// The assumptions at the top of this file, and the relations that the library's configuration demands.
    #[test]
    fn every_plan_keeps_what_is_assumed() {
        for seed in 0..SEEDS {
            let plan = Plan::of(seed);
            let ends = |spec: &Spec| spec.timing.renew_deadline.as_secs_f64() / spec.rate;
            let begins = |spec: &Spec, lease: Duration| lease.as_secs_f64() / spec.rate;
            let is_anew = |fault: &Fault| matches!(fault.what, What::Delete(_) | What::Restore(..));
            for leader in &plan.replicas {
                let Timing { lease_duration, renew_deadline, retry_period, .. } = leader.timing;
                assert!(lease_duration > renew_deadline && renew_deadline > 2 * retry_period, "seed {seed}");
                assert_eq!(lease_duration.subsec_nanos(), 0, "seed {seed}");
                for standby in &plan.replicas {
                    assert!(ends(leader) < begins(standby, lease_duration), "seed {seed}: clocks differ too much");
                    if plan.faults.iter().any(is_anew) && !plan.deletes_the_known {
                        let own = begins(standby, standby.timing.lease_duration);
                        assert!(ends(leader) < own, "seed {seed}: nobody can know how long to wait");
                    }
                }
            }
            for fault in &plan.faults {
                if let What::Thief(_, Some(lasts @ 1..)) = fault.what {
                    assert!(lasts as u64 * SECOND > plan.longest_lease(), "seed {seed}: {fault}");
                }
            }
        }
    }

    #[test]
    fn a_seed_is_one_plan_and_another_seed_another() {
        assert_eq!(Plan::of(7).faults, Plan::of(7).faults);
        assert_ne!(Plan::of(7).faults, Plan::of(8).faults);
    }

    #[test]
    fn there_is_time_for_the_recovery() {
        for seed in 0..SEEDS {
            let plan = Plan::of(seed);
            assert!(plan.ends >= LENGTH_MIN && plan.healed + plan.bound <= plan.ends, "seed {seed}");
            let ends = |fault: &Fault| fault.lasts < FOR_EVER;
            assert!(plan.faults.iter().filter(|it| ends(it)).all(|it| it.end() <= plan.healed), "seed {seed}");
        }
    }
}
