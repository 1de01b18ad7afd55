//! skaffold as one would call it, with what it prints in a file and a sign of life meanwhile.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use still_leading_testbed::{Variant, workspace};
use tokio::process::Command;
use tokio::time::{Instant, sleep};

/// As long as one waits without a sign of life.
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);
/// A cold build of one variant on two processors takes four minutes.
const BOUND: Duration = Duration::from_secs(3600);
/// As much of a line as fits beside the rest.
const WIDTH: usize = 90;

/// Where the files about a variant are.
pub(super) fn folder(variant: Variant) -> PathBuf {
    workspace().join("target/e2e").join(variant.name())
}

/// Runs `skaffold run` or `skaffold delete` for a variant, and returns how long it took.
pub(super) async fn skaffold(verb: &str, variant: Variant, context: &str) -> Result<Duration> {
    let path = folder(variant).join(format!("skaffold-{verb}.log"));
    fs::create_dir_all(folder(variant)).with_context(|| format!("making {}", folder(variant).display()))?;
    let log = File::create(&path).with_context(|| format!("writing {}", path.display()))?;
    // In the process group of this program: Ctrl-C on a terminal ends it in its own way, with its builds.
    let mut child = Command::new("skaffold")
        .args([verb, "--profile", variant.name(), "--kube-context", context])
        // It asks nothing, and tells nobody.
        .env("SKAFFOLD_INTERACTIVE", "false")
        .env("SKAFFOLD_UPDATE_CHECK", "false")
        .current_dir(workspace())
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .context("starting skaffold")?;
    let begin = Instant::now();
    let status = loop {
        tokio::select! {
            status = child.wait() => break status.context("waiting for skaffold")?,
            () = sleep(SIGN_OF_LIFE) => {
                let last = last_line(&path);
                eprintln!("    {variant}: skaffold {verb}, {} s: {last}", begin.elapsed().as_secs());
            }
        }
        if begin.elapsed() > BOUND {
            bail!("skaffold {verb} still ran after {BOUND:?}: {}", path.display());
        }
    };
    if !status.success() {
        bail!("skaffold {verb} failed ({status}): {}: {}", path.display(), last_line(&path));
    }
    Ok(begin.elapsed())
}

/// What it printed last; nothing is as good an answer as an error here.
fn last_line(path: &Path) -> String {
    let text = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let last = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
    last.trim().chars().take(WIDTH).collect()
}
