//! The replicas of one variant in their own namespace. Each has its own credentials and its own proxy, and all have one history
//! of what they logged and what was done to them.

mod lease_watch;
mod options;
mod setup;

pub use lease_watch::LeaseRecord;
pub use options::{Extra, FleetOptions, Program, Timings};

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Namespace;
use kube::Client;
use kube::api::{Api, DeleteParams};

use crate::api_server::ApiServer;
use crate::guard::{TempDir, write_private};
use crate::history::judge::{leader_at, leading, terms};
use crate::history::{Event, History, now};
use crate::proxy::Proxy;
use crate::replica::{Launch, Replica};
use crate::variant::Variant;
use lease_watch::LeaseWatch;

/// Replicas of one variant on an API server. Dropping it kills them.
///
/// Needs the async runtime that it was started on.
pub struct Fleet {
    options: FleetOptions,
    members: Vec<Member>,
    history: History,
    lease_watch: LeaseWatch,
    setup: setup::Setup,
    dir: TempDir,
}

#[derive(Debug)]
struct Member {
    // First, so that the replica ends before its connection does.
    replica: Replica,
    proxy: Proxy,
    launch: Launch,
}

impl Fleet {
    /// Installs the variant in a new namespace and starts its replicas, called `<variant>-0` and so on.
    ///
    /// # Errors
    /// Fails when the manifest is missing or refused, or a replica cannot be started.
    pub async fn start(api_server: &ApiServer, options: FleetOptions) -> Result<Self> {
        let dir = TempDir::new("still-leading-fleet-")?;
        let setup = setup::install(api_server, &options).await?;
        let lease_watch = LeaseWatch::start(setup.client.clone(), &setup.namespace, &setup.name);
        let mut fleet = Self { options, members: Vec::new(), history: History::default(), lease_watch, setup, dir };
        for _ in 0..fleet.options.replicas {
            fleet.start_replica(api_server).await?;
        }
        Ok(fleet)
    }

    /// Starts one more replica, under the next name, and returns its index.
    ///
    /// # Errors
    /// Fails when it gets no credentials or cannot be started.
    pub async fn start_replica(&mut self, api_server: &ApiServer) -> Result<usize> {
        self.start_replica_with(api_server, Extra::default()).await
    }

    /// As [`Fleet::start_replica`], with something that the others do not have.
    ///
    /// # Errors
    /// As [`Fleet::start_replica`].
    pub async fn start_replica_with(&mut self, api_server: &ApiServer, extra: Extra) -> Result<usize> {
        let index = self.members.len();
        let own = || Program { name: self.options.variant.to_string(), path: self.options.program.clone() };
        let Program { name, path: program } = extra.program.unwrap_or_else(own);
        let name = format!("{name}-{index}");
        let proxy = Proxy::start(api_server.authority(), api_server.address()).await?;
        proxy.set_mode(extra.mode);
        let token = self.options.token_files.then(|| token_file(&self.dir, &name));
        let kubeconfig = self.setup.write_kubeconfig(api_server, self.dir.path(), &name, &proxy.url(), token).await?;
        let mut args = self.args(extra.identity.as_deref().unwrap_or(&name));
        args.extend(extra.args);
        let launch = Launch { program, args, name, kubeconfig, env: extra.env };
        let replica = Replica::start(launch.clone(), &self.history)?;
        self.members.push(Member { replica, proxy, launch });
        Ok(index)
    }

    /// Starts an ended replica again, as a kubelet does: with the same name, the same credentials and the same way to the API
    /// server.
    ///
    /// # Errors
    /// Fails when it still runs, or cannot be started.
    pub fn restart_replica(&mut self, index: usize) -> Result<()> {
        let member = self.members.get_mut(index).context("there is no such replica")?;
        ensure!(member.replica.exit_status().is_some(), "{} still runs", member.replica.name());
        member.replica = Replica::start(member.launch.clone(), &self.history)?;
        Ok(())
    }

    /// Returns how many replicas were started, including those that have ended.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether it was started without replicas.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Returns one of the replicas, in the order of their start.
    ///
    /// # Panics
    /// There is no such replica.
    pub fn replica(&self, index: usize) -> &Replica {
        &self.members[index].replica
    }

    /// Returns the proxy between a replica and the API server.
    pub fn proxy(&self, index: usize) -> &Proxy {
        &self.members[index].proxy
    }

    /// Returns what all replicas logged and what was done to them.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Returns the namespace, which only this fleet uses.
    pub fn namespace(&self) -> &str {
        &self.setup.namespace
    }

    /// Returns the name of its Lease and of its other objects.
    pub fn lease_name(&self) -> &str {
        &self.setup.name
    }

    /// Returns the leader by the replicas' logs: of several, the one whose term began last. A frozen replica does not lead.
    pub fn leader_index(&self) -> Option<usize> {
        self.leader_among(&self.history.events())
    }

    /// Waits until a replica leads, and returns its index. Returns at once if one does.
    ///
    /// # Errors
    /// Fails when none does within `bound`, with the whole history.
    pub async fn wait_for_leader(&self, bound: Duration) -> Result<usize> {
        self.history.wait_for(bound, |events| self.leader_among(events)).await
    }

    /// Waits until a replica other than `old` leads. Returns its index and when its term began, in monotonic nanoseconds.
    ///
    /// # Errors
    /// Fails when none does within `bound`, with the whole history.
    pub async fn wait_for_successor(&self, old: usize, bound: Duration) -> Result<(usize, u64)> {
        let successor = |events: &[Event]| {
            let terms = terms(events);
            let term = terms.iter().rfind(|term| term.until.is_none() && term.replica != self.replica(old).name())?;
            Some((self.members.iter().position(|member| member.replica.name() == term.replica)?, term.from))
        };
        self.history.wait_for(bound, successor).await
    }

    /// Waits until replica `index` reports `leader` as the leader. Then it is a standby with nothing else to do.
    ///
    /// # Errors
    /// Fails when it has not within `bound`, with the whole history.
    pub async fn wait_until_known(&self, index: usize, leader: usize, bound: Duration) -> Result<()> {
        let (name, leader) = (self.replica(index).name(), format!("{}_", self.replica(leader).name()));
        let told = |event: &&Event| event.replica == name && event.message == "new leader";
        let last = |events: &[Event]| events.iter().rfind(told)?.fields.get("leader")?.as_str().map(str::to_owned);
        let knows = |events: &[Event]| last(events)?.starts_with(&leader).then_some(());
        self.history.wait_for(bound, knows).await
    }

    /// Waits until replica `index` takes part in the election: the API server has answered one of the replica's Lease requests
    /// that was sent after `since`, in monotonic nanoseconds. Every elector shows that, but not every one names the leader.
    ///
    /// # Errors
    /// Fails when it has not within `bound`, or has ended, with the whole history.
    pub async fn wait_until_taking_part(&self, index: usize, since: u64, bound: Duration) -> Result<()> {
        let takes_part = || {
            let requests = self.proxy(index).requests();
            requests.iter().any(|it| it.at > since && it.path.contains("/leases") && it.succeeded())
        };
        let has_ended = || self.replica(index).exit_status().is_some();
        let find = |_: &[Event]| takes_part().then_some(true).or_else(|| has_ended().then_some(false));
        match self.history.wait_for(bound, find).await? {
            true => Ok(()),
            false => bail!("{} has ended:\n{}", self.replica(index).name(), self.history.table()),
        }
    }

    /// Reads the Lease with an administrator's credentials, without a proxy.
    ///
    /// # Errors
    /// Fails when the API server does not answer within ten seconds, or there is no Lease.
    pub async fn lease(&self) -> Result<Lease> {
        let leases: Api<Lease> = Api::namespaced(self.setup.client.clone(), &self.setup.namespace);
        let lease = tokio::time::timeout(Duration::from_secs(10), leases.get(&self.setup.name)).await;
        lease.context("the API server does not answer")?.context("reading the Lease")
    }

    /// Returns every state of the Lease that the watch has seen since the start, oldest first.
    pub fn lease_history(&self) -> Vec<LeaseRecord> {
        self.lease_watch.records()
    }

    /// Returns a client with an administrator's rights, on this fleet's runtime.
    pub fn client(&self) -> &Client {
        &self.setup.client
    }

    /// Writes a kubeconfig for an administrator, such as a person with `kubectl`. It does not use the proxies, its namespace is
    /// this fleet's, and it is removed with the fleet. Call it once.
    ///
    /// # Errors
    /// Fails when it cannot be written.
    pub fn admin_kubeconfig(&self, api_server: &ApiServer) -> Result<PathBuf> {
        api_server.admin_kubeconfig(self.dir.path(), &self.setup.namespace)
    }

    /// Writes new tokens into the replicas' files, as a kubelet does before the old ones expire.
    ///
    /// # Errors
    /// Fails when the fleet was not started with [`FleetOptions::token_files`], or there is no such ServiceAccount.
    pub async fn rotate_tokens(&self, api_server: &ApiServer) -> Result<()> {
        ensure!(self.options.token_files, "the replicas read no token from a file");
        for member in &self.members {
            let token = self.setup.token(api_server).await?;
            let path = token_file(&self.dir, member.replica.name());
            write_private(&path.with_extension("new"), &token)?;
            fs::rename(path.with_extension("new"), &path).context("replacing a token")?;
        }
        Ok(())
    }

    /// Kills the replicas and deletes the namespace. Without controllers the namespace stays in `Terminating`, and ends with the
    /// control plane.
    pub async fn stop(self) {
        let namespaces: Api<Namespace> = Api::all(self.setup.client.clone());
        let namespace = self.setup.namespace.clone();
        drop(self);
        let delete = DeleteParams::default();
        tokio::time::timeout(Duration::from_secs(5), namespaces.delete(&namespace, &delete)).await.ok();
    }

    fn leader_among(&self, events: &[Event]) -> Option<usize> {
        let leading = leading(events);
        let leader = leader_at(&leading, now())?;
        self.members.iter().position(|member| member.replica.name() == leader.replica)
    }

    fn args(&self, name: &str) -> Vec<String> {
        let FleetOptions { variant, timings, tick, args, .. } = &self.options;
        let flags = [
            ("--lease-name", self.setup.name.clone()),
            ("--lease-duration", in_flag(timings.lease_duration)),
            ("--renew-deadline", in_flag(timings.renew_deadline)),
            ("--retry-period", in_flag(timings.retry_period)),
        ];
        let of_its_own = match variant {
            // It has no flags for its identity and its log, and takes no namespace from a kubeconfig. Two replicas cannot
            // listen on one address, and it does not log the port that the kernel chooses.
            Variant::ControllerGo => vec![
                ("--lease-namespace", self.setup.namespace.clone()),
                ("--listen", "0".to_owned()),
                ("--metrics", "0".to_owned()),
            ],
            _ => vec![
                ("--log-format", "json".to_owned()),
                ("--listen", "127.0.0.1:0".to_owned()),
                ("--identity", name.to_owned()),
            ],
        };
        let tick = (!variant.is_example()).then(|| ("--tick", in_flag(*tick)));
        let flags = flags.into_iter().chain(of_its_own).chain(tick);
        let flags = flags.flat_map(|(flag, value)| [flag.to_owned(), value]);
        ["--enable-leader-election".to_owned()].into_iter().chain(flags).chain(args.iter().cloned()).collect()
    }
}

fn token_file(dir: &TempDir, replica: &str) -> PathBuf {
    dir.path().join(format!("{replica}.token"))
}

/// Leaves out the client, which carries an administrator's token.
impl fmt::Debug for Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fleet")
            .field("namespace", &self.setup.namespace)
            .field("members", &self.members)
            .field("history", &self.history)
            .finish_non_exhaustive()
    }
}

/// Formats a duration as one number with one unit, which humantime and Go read alike.
fn in_flag(duration: Duration) -> String {
    match duration.subsec_millis() {
        0 => format!("{}s", duration.as_secs()),
        _ => format!("{}ms", duration.as_millis()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_so_that_rust_and_go_read_them() {
        let written = [15_000, 500, 1_500].map(|millis| in_flag(Duration::from_millis(millis)));
        assert_eq!(written, ["15s", "500ms", "1500ms"]);
    }
}
