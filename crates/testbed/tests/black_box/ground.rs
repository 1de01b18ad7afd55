//! What a case stands on: the built variant, and an API server that the cases share.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use still_leading_testbed::{Assets, ControlPlane, Fleet, FleetOptions, Profile, Timings, Variant};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::time::timeout;

use crate::Outcome;

/// Longer than anything here takes on a busy machine: a bug is to fail, not to hang.
pub const LONG: Duration = Duration::from_secs(90);

pub const TIMINGS: Timings = Timings::SHORT;

pub const TICK: Duration = Duration::from_millis(100);

/// A promise that was not kept, as opposed to a case that could not be tried.
#[derive(Debug)]
pub struct Violation(pub String);

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Violation {}

/// Fails the case with a [`Violation`] unless the promise is kept.
macro_rules! promise {
    ($kept:expr, $($broken:tt)+) => {
        let kept: bool = $kept;
        if !kept {
            return Err(anyhow::Error::new($crate::ground::Violation(format!($($broken)+))));
        }
    };
}
pub(crate) use promise;

/// Everything the cases share.
pub struct World {
    runtime: Mutex<Option<Arc<Runtime>>>,
    programs: Mutex<BTreeMap<Variant, Result<PathBuf, String>>>,
    control_plane: tokio::sync::Mutex<Option<Arc<ControlPlane>>>,
}

impl World {
    pub fn new() -> Self {
        let runtime = Runtime::new().ok().map(Arc::new);
        Self { runtime: Mutex::new(runtime), programs: Mutex::default(), control_plane: tokio::sync::Mutex::default() }
    }

    /// Runs one case on the calling thread.
    pub fn run(&self, variant: Variant, needs_api_server: bool, case: fn(Ground) -> Outcome) -> Result<()> {
        let program = self.program(variant)?;
        let runtime = self.runtime.lock().unwrap_or_else(PoisonError::into_inner).clone();
        runtime.context("there is no async runtime")?.block_on(async {
            let control_plane = if needs_api_server { Some(self.control_plane().await?) } else { None };
            let ground = Ground { variant, program, control_plane };
            timeout(LONG * 3, case(ground)).await.context("the case hangs")?
        })
    }

    /// Ends the API server. The runtime goes first, and with it whatever a failed case has left behind.
    pub fn end(&self) {
        drop(self.runtime.lock().unwrap_or_else(PoisonError::into_inner).take());
        drop(self.control_plane.blocking_lock().take());
    }

    fn program(&self, variant: Variant) -> Result<PathBuf> {
        let mut programs = self.programs.lock().unwrap_or_else(PoisonError::into_inner);
        let built = programs.entry(variant).or_insert_with(|| {
            eprintln!("building {variant}");
            variant.build(Profile::Debug).map_err(|error| error.to_string())
        });
        built.clone().map_err(|error| anyhow!(error))
    }

    async fn control_plane(&self) -> Result<Arc<ControlPlane>> {
        let mut control_plane = self.control_plane.lock().await;
        if control_plane.is_none() {
            *control_plane = Some(Arc::new(ControlPlane::start(&Assets::find()?).await?));
        }
        control_plane.clone().context("there is no control plane")
    }
}

/// What one case gets.
pub struct Ground {
    pub variant: Variant,
    pub program: PathBuf,
    control_plane: Option<Arc<ControlPlane>>,
}

impl Ground {
    pub fn control_plane(&self) -> Result<&ControlPlane> {
        self.control_plane.as_deref().context("this case was not declared to need an API server")
    }

    pub fn options(&self) -> FleetOptions {
        FleetOptions { timings: TIMINGS, tick: TICK, ..FleetOptions::new(self.variant, self.program.clone()) }
    }

    /// Three replicas of the variant, of which one leads; its index.
    pub async fn led_fleet(&self) -> Result<(Fleet, usize)> {
        let fleet = Fleet::start(self.control_plane()?, self.options()).await?;
        let leader = fleet.wait_for_leader(LONG).await?;
        Ok((fleet, leader))
    }
}

/// Status and body of a GET.
pub async fn get(address: SocketAddr, path: &str) -> Result<(u16, String)> {
    let ask = async {
        let stream = TcpStream::connect(address).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let request = hyper::Request::get(path).header("host", address.to_string()).body(Empty::<Bytes>::new())?;
        let response = sender.send_request(request).await?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await?.to_bytes();
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    };
    match timeout(LONG, ask).await {
        Ok(answer) => answer,
        Err(_) => bail!("{address}{path} does not answer"),
    }
}
