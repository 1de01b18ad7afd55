//! What is broken is healed, however a step ends: a wound is noted before it is made and struck out when it has healed,
//! and what is still noted when the program ends, by an error, a panic or Ctrl-C, is healed then.

use std::sync::{Mutex, PoisonError};
use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;

use super::deed::Deed;

/// A deed that was interrupted may still be on its way, so the cure is repeated after this time.
const ON_ITS_WAY: Duration = Duration::from_secs(1);

/// What can be done to a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wound {
    /// All its processes stand still.
    Frozen(String),
    /// Nothing on it reaches the API server; the API server still reaches its kubelet, and so logs can be read.
    Cut(String),
    /// No pod is placed on it.
    Cordoned {
        /// As `kubectl` is to be called for this cluster.
        context: String,
        /// Which.
        node: String,
    },
}

/// INPUT and OUTPUT are the ways of the kubelet, FORWARD those of pods. Both directions, or a watch that is open would go on
/// telling. The port is the API server's own, since the Service's address has been translated by then.
fn in_all_chains(script: &str) -> String {
    let rule = script.replace("RULE", "$chain -p tcp --$port 6443 -j DROP");
    format!("for chain in INPUT OUTPUT FORWARD; do for port in sport dport; do {rule}; done; done")
}

impl Wound {
    /// What makes it, where that is a deed of its own. A drain cordons by itself.
    #[must_use]
    pub fn deed(&self) -> Option<Deed> {
        match self {
            Self::Frozen(node) => Some(Deed::new(["docker", "pause", node])),
            Self::Cut(node) => {
                let script = in_all_chains("iptables -w -I RULE || exit");
                Some(Deed::new(["docker", "exec", node, "sh", "-c", &script]))
            }
            Self::Cordoned { .. } => None,
        }
    }

    /// What heals it, however often it was made.
    #[must_use]
    pub fn cure(&self) -> Deed {
        match self {
            Self::Frozen(node) => Deed::new(["docker", "unpause", node]),
            Self::Cut(node) => {
                let script = in_all_chains("while iptables -w -D RULE 2>/dev/null; do echo removed; done");
                Deed::new(["docker", "exec", node, "sh", "-c", &script])
            }
            Self::Cordoned { context, node } => Deed::new(["kubectl", "--context", context, "uncordon", node]),
        }
    }
}

/// Whether a cure did something, rather than finding nothing to heal.
fn cured(outcome: Result<String>) -> Result<bool> {
    match outcome {
        Ok(said) => Ok(!said.trim().is_empty()),
        Err(error) if error.to_string().contains("is not paused") => Ok(false),
        Err(error) => Err(error),
    }
}

/// The wounds that have not healed. When it is dropped, they are healed as far as possible.
#[derive(Debug, Default)]
pub struct Ward(Mutex<Vec<Wound>>);

impl Ward {
    /// Notes a wound that is about to be made.
    pub fn admit(&self, wound: &Wound) {
        self.wounds(|wounds| wounds.push(wound.clone()));
    }

    /// Heals one.
    ///
    /// # Errors
    /// It does not heal; it stays noted.
    pub async fn heal(&self, wound: &Wound) -> Result<()> {
        cured(wound.cure().run().await)?;
        self.wounds(|wounds| wounds.retain(|other| other != wound));
        Ok(())
    }

    /// Heals all, the youngest first: what is in a frozen node cannot be healed before the node.
    ///
    /// # Errors
    /// The first that does not heal; it stays noted, and the others are healed all the same.
    pub async fn heal_all(&self) -> Result<()> {
        let mut end = Ok(());
        for wound in self.wounds(|wounds| wounds.clone()).iter().rev() {
            end = end.and(self.heal(wound).await);
        }
        end
    }

    fn wounds<T>(&self, with: impl FnOnce(&mut Vec<Wound>) -> T) -> T {
        with(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Ward {
    fn drop(&mut self) {
        let wounds = self.wounds(std::mem::take);
        let cures: Vec<Deed> = wounds.iter().rev().map(Wound::cure).collect();
        for cure in &cures {
            eprintln!("healing: {cure}");
            // What fails now may not fail when it is repeated.
            cure.run_now().ok();
        }
        if !cures.is_empty() {
            sleep(ON_ITS_WAY);
        }
        for cure in &cures {
            if let Err(error) = cured(cure.run_now()) {
                eprintln!("NOT HEALED, do it by hand: {cure} ({error:#})");
            }
        }
    }
}

/// Heals what a run left on the nodes of a kind cluster that was killed, and so could not heal it.
///
/// # Errors
/// Docker does not answer, or a node does not heal.
pub async fn leftovers(cluster: &str) -> Result<()> {
    let label = format!("label=io.x-k8s.kind.cluster={cluster}");
    let nodes = Deed::new(["docker", "ps", "--filter", &label, "--format", "{{.Names}}"]).run().await?;
    for node in nodes.lines() {
        for wound in [Wound::Frozen(node.to_owned()), Wound::Cut(node.to_owned())] {
            let cure = wound.cure();
            if cured(cure.run().await)? {
                eprintln!("healed what an earlier run left: {cure}");
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::anyhow;

    #[test]
    fn both_ways_are_cut_and_every_rule_is_removed() {
        let cut = Wound::Cut("node".to_owned());
        let (deed, cure) = (cut.deed().unwrap().to_string(), cut.cure().to_string());
        for script in [&deed, &cure] {
            assert!(script.contains("for chain in INPUT OUTPUT FORWARD; do for port in sport dport; do"), "{script}");
        }
        assert!(deed.contains("iptables -w -I $chain -p tcp --$port 6443 -j DROP"), "{deed}");
        assert!(cure.contains("while iptables -w -D $chain -p tcp --$port 6443 -j DROP"), "{cure}");
    }

    #[test]
    fn what_was_not_paused_is_healed_and_other_failures_are_not() {
        let docker =
            "`docker unpause x` failed (exit status: 1): Error response from daemon: Container x is not paused";
        assert!(!cured(Err(anyhow!(docker))).unwrap());
        assert!(cured(Err(anyhow!("no such container"))).is_err());
        assert!(cured(Ok("x\n".to_owned())).unwrap());
        assert!(!cured(Ok("\n".to_owned())).unwrap());
    }

    #[tokio::test]
    async fn a_wound_that_does_not_heal_stays_noted() {
        let ward = Ward::default();
        // No such container, and perhaps no docker: either way the cure fails.
        let wound = Wound::Cut("still-leading-no-such-node".to_owned());
        ward.admit(&wound);
        assert!(ward.heal_all().await.is_err());
        assert_eq!(ward.wounds(std::mem::take), [wound]);
    }
}
