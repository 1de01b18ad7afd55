//! What the cases share: one API server of each kind, what each overlay renders to, and the built variants.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use anyhow::{Context, Result, anyhow};
use still_leading_testbed::{ApiServer, Profile, ServerKind, Variant};
use tokio::runtime::Runtime;
use tokio::sync::OnceCell;
use tokio::time::timeout;

use crate::kubectl::Kubectl;
use crate::overlay::Overlay;
use crate::rendered::{self, Rendered};
use crate::server::{self, LONG};

type Rendering = OnceLock<Result<Vec<Rendered>, String>>;

pub struct World {
    runtime: Mutex<Option<Arc<Runtime>>>,
    pub kubectl: Option<Kubectl>,
    rendered: BTreeMap<Overlay, Rendering>,
    programs: OnceLock<BTreeMap<Variant, Result<PathBuf, String>>>,
    embedded: OnceCell<Arc<ApiServer>>,
    real: OnceCell<Arc<ApiServer>>,
}

impl World {
    pub fn new(kubectl: Option<Kubectl>) -> Self {
        Self {
            runtime: Mutex::new(Runtime::new().ok().map(Arc::new)),
            kubectl,
            rendered: Overlay::all().map(|overlay| (overlay, Rendering::new())).collect(),
            programs: OnceLock::new(),
            embedded: OnceCell::new(),
            real: OnceCell::new(),
        }
    }

    /// Builds the variants that will be run, before anything is: a compiler beside an election takes its time.
    pub fn build(&self, variants: BTreeSet<Variant>) {
        let build = |variant: Variant| {
            eprintln!("building {variant}");
            variant.build(Profile::Debug).map_err(|error| error.to_string())
        };
        self.programs.get_or_init(|| variants.into_iter().map(|variant| (variant, build(variant))).collect());
    }

    pub fn program(&self, variant: Variant) -> Result<PathBuf> {
        let program = self.programs.get().and_then(|programs| programs.get(&variant)).context("it was not built")?;
        program.clone().map_err(|error| anyhow!(error))
    }

    pub fn kubectl(&self) -> Result<&Kubectl> {
        self.kubectl.as_ref().context("this case was not declared to need kubectl")
    }

    /// All choices of components of an overlay, rendered once.
    pub fn rendered(&self, overlay: Overlay) -> Result<&[Rendered]> {
        let kubectl = self.kubectl()?;
        let render = || rendered::render(kubectl, overlay).map_err(|error| format!("{error:#}"));
        let rendered = self.rendered.get(&overlay).context("there is no such overlay")?.get_or_init(render);
        rendered.as_deref().map_err(|error| anyhow!("{error}"))
    }

    /// Runs one case on the calling thread.
    pub fn run(&self, case: impl Future<Output = Result<()>>) -> Result<()> {
        let runtime = self.runtime.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let runtime = runtime.context("there is no async runtime")?;
        runtime.block_on(async { timeout(LONG * 2, case).await.context("the case hangs")? })
    }

    pub async fn server(&self, kind: ServerKind) -> Result<&ApiServer> {
        let cell = if kind == ServerKind::Real { &self.real } else { &self.embedded };
        let start = || async {
            let server = ApiServer::start(kind).await?;
            if kind == ServerKind::Real {
                server::define_resources_of_the_operator(&server.client()?).await?;
            }
            Ok::<_, anyhow::Error>(Arc::new(server))
        };
        Ok(cell.get_or_try_init(start).await?.as_ref())
    }

    /// Ends the async runtime, and with it whatever a failed case has left behind. The API servers go with the world.
    pub fn end(&self) {
        drop(self.runtime.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}
