//! What somebody else does to the Lease: an operator with kubectl, another tool, another elector.

use std::time::Duration;

use anyhow::Result;
use futures::FutureExt;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{DeleteParams, PostParams};
use serde_json::{Value, json};
use still_leading_testbed::{Timings, manifests};

use crate::matrix::fault::{Fault, Step};
use crate::matrix::scene::Scene;

pub(super) fn all() -> Vec<Box<dyn Fault>> {
    let kinds = [
        Kind::Deleted,
        Kind::Reapplied,
        Kind::Hijacked,
        Kind::Emptied,
        Kind::Released,
        Kind::AbsurdDuration,
        Kind::MostTransitions,
    ];
    kinds.into_iter().map(|kind| Box::new(Edit(kind)) as Box<dyn Fault>).collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Deleted,
    Reapplied,
    Hijacked,
    Emptied,
    Released,
    AbsurdDuration,
    MostTransitions,
}

#[derive(Debug)]
struct Edit(Kind);

impl Fault for Edit {
    fn name(&self) -> String {
        match self.0 {
            Kind::Deleted => "lease-deleted",
            Kind::Reapplied => "lease-reapplied",
            Kind::Hijacked => "lease-hijacked",
            Kind::Emptied => "lease-emptied",
            Kind::Released => "lease-released",
            Kind::AbsurdDuration => "lease-absurd-duration",
            Kind::MostTransitions => "lease-most-transitions",
        }
        .to_owned()
    }

    fn what(&self) -> String {
        match self.0 {
            Kind::Deleted => "The Lease is deleted, and two lease durations later applied again where one is shipped.",
            Kind::Reapplied => "The Lease is deleted and at once applied again, empty.",
            Kind::Hijacked => "Somebody writes another holder into the Lease, who is not heard of again.",
            Kind::Emptied => "Somebody removes everything from the Lease's spec.",
            Kind::Released => "Another tool releases the Lease: the holder is empty and the duration one second.",
            Kind::AbsurdDuration => "The leader is killed after somebody has set the lease duration to 24 days.",
            Kind::MostTransitions => "The leader gets SIGTERM after somebody has set leaseTransitions to 2147483647.",
        }
        .to_owned()
    }

    fn lasts(&self, timings: Timings) -> Duration {
        if self.0 == Kind::Deleted { timings.lease_duration * 2 } else { Duration::ZERO }
    }

    fn inject<'a>(&'a self, scene: &'a mut Scene<'_>) -> Step<'a> {
        async move {
            match self.0 {
                Kind::Deleted => delete(scene).await,
                Kind::Reapplied => {
                    delete(scene).await?;
                    apply(scene).await
                }
                Kind::Hijacked => scene.write_lease(hijacked(scene.timings)).await,
                Kind::Emptied => scene.write_lease(emptied()).await,
                Kind::Released => scene.write_lease(json!({"holderIdentity": "", "leaseDurationSeconds": 1})).await,
                Kind::AbsurdDuration => {
                    scene.write_lease(json!({"leaseDurationSeconds": 24 * 86_400})).await?;
                    scene.asks_to_end(scene.leader);
                    scene.fleet.replica(scene.leader).kill().map(drop)
                }
                Kind::MostTransitions => {
                    scene.write_lease(json!({"leaseTransitions": i32::MAX})).await?;
                    scene.asks_to_end(scene.leader);
                    scene.fleet.replica(scene.leader).terminate().map(drop)
                }
            }
        }
        .boxed_local()
    }

    fn heal<'a>(&'a self, scene: &'a mut Scene<'_>) -> Step<'a> {
        async move {
            match self.0 {
                Kind::Deleted => apply(scene).await,
                _ => Ok(()),
            }
        }
        .boxed_local()
    }

    /// Whoever empties the holder of a live claim, or deletes it, lets a standby lead before the leader can know. And a standby
    /// cannot tell a duration that somebody else wrote from a holder that means it: client-go and native wait as long as the
    /// Lease says.
    fn breaks(&self) -> Option<&'static str> {
        match self.0 {
            Kind::Deleted | Kind::Reapplied | Kind::Hijacked | Kind::Emptied | Kind::Released => {
                Some("only electors write the Lease")
            }
            Kind::AbsurdDuration => Some("the lease duration in the Lease is what its holder meant"),
            Kind::MostTransitions => None,
        }
    }

    fn allows_no_leader(&self) -> bool {
        self.0 == Kind::AbsurdDuration
    }
}

async fn delete(scene: &Scene<'_>) -> Result<()> {
    scene.leases().delete(scene.fleet.lease_name(), &DeleteParams::default()).await?;
    Ok(())
}

/// As the subject ships it, if it ships one: else whoever needs a Lease makes it.
async fn apply(scene: &Scene<'_>) -> Result<()> {
    if !scene.manifest()?.iter().any(|object| manifests::kind(object) == "Lease") {
        return Ok(());
    }
    let mut empty = Lease::default();
    empty.metadata.name = Some(scene.fleet.lease_name().to_owned());
    match scene.leases().create(&PostParams::default(), &empty).await {
        // Somebody has been faster.
        Err(kube::Error::Api(answer)) if answer.reason == "AlreadyExists" => Ok(()),
        created => Ok(created.map(drop)?),
    }
}

fn hijacked(timings: Timings) -> Value {
    let now = k8s_openapi::jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string();
    let seconds = timings.lease_duration.as_secs();
    json!({"holderIdentity": "thief_1", "leaseDurationSeconds": seconds, "renewTime": now, "acquireTime": now})
}

fn emptied() -> Value {
    json!({
        "holderIdentity": null,
        "leaseDurationSeconds": null,
        "acquireTime": null,
        "renewTime": null,
        "leaseTransitions": null,
    })
}
