//! Faults of nodes, and their end. Each fault is healed, however a step ends: it is noted before it is injected and struck
//! out when it has healed. What is still noted when the program ends, by an error, a panic or Ctrl-C, is healed then.

use std::sync::{Mutex, PoisonError};
use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;

use super::command::Command;

/// A command that was interrupted may still take effect, so each fault is healed again after this time.
const ON_ITS_WAY: Duration = Duration::from_secs(1);

/// What can be done to a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeFault {
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

impl NodeFault {
    /// The command that injects it, if there is one. A drain cordons by itself.
    #[must_use]
    pub fn inject_command(&self) -> Option<Command> {
        match self {
            Self::Frozen(node) => Some(Command::new(["docker", "pause", node])),
            Self::Cut(node) => {
                let script = in_all_chains("iptables -w -I RULE || exit");
                Some(Command::new(["docker", "exec", node, "sh", "-c", &script]))
            }
            Self::Cordoned { .. } => None,
        }
    }

    /// The command that heals it, however often it was injected.
    #[must_use]
    pub fn heal_command(&self) -> Command {
        match self {
            Self::Frozen(node) => Command::new(["docker", "unpause", node]),
            Self::Cut(node) => {
                let script = in_all_chains("while iptables -w -D RULE 2>/dev/null; do echo removed; done");
                Command::new(["docker", "exec", node, "sh", "-c", &script])
            }
            Self::Cordoned { context, node } => Command::new(["kubectl", "--context", context, "uncordon", node]),
        }
    }
}

/// Whether a command healed something, rather than finding nothing to heal.
fn healed(outcome: Result<String>) -> Result<bool> {
    match outcome {
        Ok(said) => Ok(!said.trim().is_empty()),
        Err(error) if error.to_string().contains("is not paused") => Ok(false),
        Err(error) => Err(error),
    }
}

/// The faults that have not been healed. When it is dropped, they are healed as far as possible.
#[derive(Debug, Default)]
pub struct ActiveFaults(Mutex<Vec<NodeFault>>);

impl ActiveFaults {
    /// Notes a fault that is about to be injected.
    pub fn add(&self, fault: &NodeFault) {
        self.faults(|faults| faults.push(fault.clone()));
    }

    /// Heals one.
    ///
    /// # Errors
    /// It does not heal; it stays noted.
    pub async fn heal(&self, fault: &NodeFault) -> Result<()> {
        healed(fault.heal_command().run().await)?;
        self.faults(|faults| faults.retain(|other| other != fault));
        Ok(())
    }

    /// Heals all, the youngest first: what is in a frozen node cannot be healed before the node.
    ///
    /// # Errors
    /// The first that does not heal; it stays noted, and the others are healed all the same.
    pub async fn heal_all(&self) -> Result<()> {
        let mut end = Ok(());
        for fault in self.faults(|faults| faults.clone()).iter().rev() {
            end = end.and(self.heal(fault).await);
        }
        end
    }

    fn faults<T>(&self, with: impl FnOnce(&mut Vec<NodeFault>) -> T) -> T {
        with(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for ActiveFaults {
    fn drop(&mut self) {
        let faults = self.faults(std::mem::take);
        let commands: Vec<Command> = faults.iter().rev().map(NodeFault::heal_command).collect();
        for command in &commands {
            eprintln!("healing: {command}");
            // What fails now may not fail when it is repeated.
            command.run_now().ok();
        }
        if !commands.is_empty() {
            sleep(ON_ITS_WAY);
        }
        for command in &commands {
            if let Err(error) = healed(command.run_now()) {
                eprintln!("NOT HEALED, do it by hand: {command} ({error:#})");
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
    let nodes = Command::new(["docker", "ps", "--filter", &label, "--format", "{{.Names}}"]).run().await?;
    for node in nodes.lines() {
        for fault in [NodeFault::Frozen(node.to_owned()), NodeFault::Cut(node.to_owned())] {
            let command = fault.heal_command();
            if healed(command.run().await)? {
                eprintln!("healed what an earlier run left: {command}");
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
        let cut = NodeFault::Cut("node".to_owned());
        let (inject, heal) = (cut.inject_command().unwrap().to_string(), cut.heal_command().to_string());
        for script in [&inject, &heal] {
            assert!(script.contains("for chain in INPUT OUTPUT FORWARD; do for port in sport dport; do"), "{script}");
        }
        assert!(inject.contains("iptables -w -I $chain -p tcp --$port 6443 -j DROP"), "{inject}");
        assert!(heal.contains("while iptables -w -D $chain -p tcp --$port 6443 -j DROP"), "{heal}");
    }

    #[test]
    fn what_was_not_paused_is_healed_and_other_failures_are_not() {
        let docker =
            "`docker unpause x` failed (exit status: 1): Error response from daemon: Container x is not paused";
        assert!(!healed(Err(anyhow!(docker))).unwrap());
        assert!(healed(Err(anyhow!("no such container"))).is_err());
        assert!(healed(Ok("x\n".to_owned())).unwrap());
        assert!(!healed(Ok("\n".to_owned())).unwrap());
    }

    #[tokio::test]
    async fn a_fault_that_does_not_heal_stays_noted() {
        let active = ActiveFaults::default();
        // No such container, and perhaps no docker: either way it cannot be healed.
        let fault = NodeFault::Cut("still-leading-no-such-node".to_owned());
        active.add(&fault);
        assert!(active.heal_all().await.is_err());
        assert_eq!(active.faults(std::mem::take), [fault]);
    }
}
