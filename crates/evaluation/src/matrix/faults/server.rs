//! What happens to the API server and its etcd, and so to every fleet on it at once.

use std::time::Duration;

use anyhow::bail;
use futures::FutureExt;
use still_leading_testbed::{ApiServer, ControlPlane, Timings};

use crate::matrix::fault::{Fault, Step};
use crate::matrix::needs::Needs;

pub(super) fn all() -> Vec<Box<dyn Fault>> {
    let kinds = [Kind::ApiServer, Kind::Etcd, Kind::Compaction, Kind::Restore];
    kinds.into_iter().map(|kind| Box::new(Server(kind)) as Box<dyn Fault>).collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    ApiServer,
    Etcd,
    Compaction,
    Restore,
}

#[derive(Debug)]
struct Server(Kind);

impl Fault for Server {
    fn name(&self) -> String {
        match self.0 {
            Kind::ApiServer => "api-server-restart",
            Kind::Etcd => "etcd-restart",
            Kind::Compaction => "etcd-compaction",
            Kind::Restore => "etcd-restore",
        }
        .to_owned()
    }

    fn what(&self) -> String {
        match self.0 {
            Kind::ApiServer => "The API server is killed and, one lease duration later, started again.",
            Kind::Etcd => "etcd is killed and, one lease duration later, started again.",
            Kind::Compaction => "etcd forgets every revision but the present one, while the API server is restarted.",
            Kind::Restore => "etcd is restarted for a backup; two lease durations later API server and etcd are killed and started with it.",
        }
        .to_owned()
    }

    fn needs(&self) -> Needs {
        Needs { own_server: true, real_server: self.0 != Kind::ApiServer, ..Needs::default() }
    }

    fn lasts(&self, timings: Timings) -> Duration {
        match self.0 {
            Kind::Restore => timings.lease_duration * 2,
            _ => timings.lease_duration,
        }
    }

    /// Whoever led before the backup is a leader in it again, in the time that it shows.
    fn breaks(&self) -> Option<&'static str> {
        (self.0 == Kind::Restore).then_some("the API server keeps what it has confirmed")
    }

    fn strike<'a>(&'a self, server: &'a ApiServer) -> Step<'a> {
        async move {
            match self.0 {
                Kind::ApiServer => server.stop_serving().await,
                Kind::Etcd => real(server)?.stop_etcd().await,
                Kind::Compaction => {
                    server.stop_serving().await?;
                    real(server)?.compact_etcd().await
                }
                // Until it is put back, everything is as it was.
                Kind::Restore => real(server)?.back_up().await,
            }
        }
        .boxed_local()
    }

    fn mend<'a>(&'a self, server: &'a ApiServer) -> Step<'a> {
        async move {
            match self.0 {
                Kind::ApiServer | Kind::Compaction => server.start_serving().await,
                Kind::Etcd => real(server)?.start_etcd().await,
                Kind::Restore => real(server)?.restore().await,
            }
        }
        .boxed_local()
    }
}

fn real(server: &ApiServer) -> anyhow::Result<&ControlPlane> {
    match server {
        ApiServer::Real(control_plane) => Ok(control_plane),
        ApiServer::Embedded(_) => bail!("the embedded API server has no etcd"),
    }
}
