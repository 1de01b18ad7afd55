//! How many there are, and under which name: many candidates at once, and one name twice.

use std::time::Duration;

use anyhow::Result;
use futures::FutureExt;
use kube::api::DynamicObject;
use serde_json::json;
use still_leading_testbed::{Extra, FleetOptions, Form, Timings, Variant, manifests};

use crate::matrix::fault::{Fault, Step};
use crate::matrix::needs::{Needs, Start};
use crate::matrix::scene::Scene;
use crate::matrix::subject::Subject;

pub(super) fn all() -> Vec<Box<dyn Fault>> {
    vec![Box::new(Crowd { candidates: 30 }), Box::new(Twice)]
}

/// Many start at once, and there is no Lease yet. Whoever needs one may create it, whatever the shipped Role says. Who is
/// documented to create none finds one that nobody has claimed.
#[derive(Debug)]
struct Crowd {
    candidates: usize,
}

impl Fault for Crowd {
    fn name(&self) -> String {
        format!("crowd-{}", self.candidates)
    }

    fn what(&self) -> String {
        format!(
            "There is no Lease (an unclaimed one where the election creates none: kubert, and our template of \
             kube-lease-manager), and {} candidates start at once, each of which may create it.",
            self.candidates
        )
    }

    fn needs(&self) -> Needs {
        Needs { start: Start::Nobody, ..Needs::default() }
    }

    fn weight(&self) -> usize {
        self.candidates.div_ceil(3)
    }

    fn prepare(&self, subject: Subject, mut options: FleetOptions) -> Result<FleetOptions> {
        let path = options.variant.install_yaml();
        let mut objects = manifests::parse(&std::fs::read_to_string(path)?)?;
        objects.retain(|object| manifests::kind(object) != "Lease" || needs_a_lease(subject));
        for role in objects.iter_mut().filter(|object| manifests::kind(object) == "Role") {
            may_create(role);
        }
        options.manifests = Some(objects);
        Ok(options)
    }

    fn lasts(&self, timings: Timings) -> Duration {
        timings.lease_duration * 3
    }

    fn inject<'a>(&'a self, scene: &'a mut Scene<'_>) -> Step<'a> {
        async move {
            // One takes longer to be started than to create a Lease. So each stands still until all are there.
            for _ in 0..self.candidates {
                let index = scene.fleet.start_replica(scene.server).await?;
                scene.fleet.replica(index).stop()?;
            }
            (0..self.candidates).try_for_each(|index| scene.fleet.replica(index).cont().map(drop))
        }
        .boxed_local()
    }
}

/// kubert says that the Lease must be there, and our template of kube-lease-manager asks for one that exists.
fn needs_a_lease(subject: Subject) -> bool {
    matches!(
        subject,
        Subject::Variant(Variant::Kubert, _) | Subject::Variant(Variant::KubeLeaseManager, Form::Template)
    )
}

fn may_create(role: &mut DynamicObject) {
    let create = json!({"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create"]});
    if let Some(rules) = role.data["rules"].as_array_mut() {
        rules.push(create);
    }
}

/// A fourth replica is started with the leader's name, as two pods with one fixed identity would.
#[derive(Debug)]
struct Twice;

impl Fault for Twice {
    fn name(&self) -> String {
        "identity-twice".to_owned()
    }

    fn what(&self) -> String {
        "A fourth replica starts with the same --identity as the leader.".to_owned()
    }

    fn lasts(&self, timings: Timings) -> Duration {
        timings.lease_duration * 3
    }

    fn inject<'a>(&'a self, scene: &'a mut Scene<'_>) -> Step<'a> {
        async move {
            let identity = Some(scene.fleet.replica(scene.leader).name().to_owned());
            scene.fleet.start_replica_with(scene.server, Extra { identity, ..Extra::default() }).await.map(drop)
        }
        .boxed_local()
    }

    /// client-go asks for it in so many words.
    fn breaks(&self) -> Option<&'static str> {
        Some("every candidate has an identity of its own")
    }
}
