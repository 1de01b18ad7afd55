//! What a replica does with no API server to talk to. These cases need none, so they run everywhere.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use still_leading_testbed::history::{Event, acts};
use still_leading_testbed::replica::Launch;
use still_leading_testbed::{History, Replica};

use crate::ground::{Ground, LONG, get, promise};

const ELECTION: &str = "--enable-leader-election";

fn start(ground: &Ground, kubeconfig: PathBuf, args: &[&str]) -> Result<(Replica, History)> {
    let history = History::default();
    let common = ["--log-format", "json", "--listen", "127.0.0.1:0", "--identity", "alone", "--tick", "50ms"];
    let args = common.iter().chain(args).map(ToString::to_string).collect();
    let launch =
        Launch { program: ground.program.clone(), name: "alone".to_owned(), kubeconfig, args, env: Vec::new() };
    let replica = Replica::start(launch, &history)?;
    Ok((replica, history))
}

pub async fn a_bad_flag_is_one_line_and_exit_code_2(ground: Ground) -> Result<()> {
    let bad: [&[&str]; 9] = [
        &["--no-such-flag"],
        &["stray"],
        &["--tick", "soon"],
        &["--tick", "0s"],
        &["--log-format", "xml"],
        &["--listen", "everywhere"],
        &["--lease-duration", "10s"],
        &["--lease-duration", "15500ms"],
        &["--renew-deadline", "2s"],
    ];
    for flags in bad {
        let mut command = Command::new(&ground.program);
        command.args(flags).arg(ELECTION).env_clear().stdin(Stdio::null());
        let output = command.output()?;
        let (out, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        promise!(output.status.code() == Some(2), "{flags:?} ends with {}: {out}{error}", output.status);
        promise!(error.lines().count() == 1 && error.starts_with("error: "), "{flags:?} is not one line: {error:?}");
        promise!(out.is_empty(), "{flags:?} prints to standard output: {out:?}");
    }
    let output = Command::new(&ground.program).arg("--help").env_clear().stdin(Stdio::null()).output()?;
    let help = String::from_utf8_lossy(&output.stdout);
    promise!(output.status.code() == Some(0), "--help ends with {}", output.status);
    for word in ["--enable-leader-election", "LEASE_NAME", "POD_NAMESPACE", "--renew-deadline", "15s", "Exit codes"] {
        promise!(help.contains(word), "--help lacks {word}:\n{help}");
    }
    Ok(())
}

pub async fn without_an_election_it_leads_for_life(ground: Ground) -> Result<()> {
    let (replica, history) = start(&ground, PathBuf::from("/nonexistent"), &[])?;
    history.wait_for(LONG, |events| (acts(events).len() >= 3).then_some(())).await?;
    let address = replica.http_address(LONG).await?;
    let (status, _) = get(address, "/readyz").await?;
    promise!(status == 200, "/readyz answers {status}");
    let (_, body) = get(address, "/leader").await?;
    promise!(body.contains("\"leading\":true"), "/leader answers {body}");
    replica.terminate()?;
    let status = replica.wait(LONG).await?;
    promise!(status.code() == Some(0), "it ended with {status}; {}", replica.stderr());
    let said = |message: &str| history.events().iter().any(|event| event.message == message);
    promise!(said("leading cancelled") && said("stopped leading"), "it did not end its term:\n{}", history.table());
    promise!(history.malformed().is_empty(), "lines that are no events: {:?}", history.malformed());
    Ok(())
}

/// A kubeconfig for an address on which nobody listens.
fn kubeconfig(dir: &Path) -> Result<PathBuf> {
    let address: SocketAddr = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let path = dir.join("kubeconfig");
    let text = format!(
        "{{apiVersion: v1, kind: Config, current-context: c, contexts: [{{name: c, context: {{cluster: c, user: u}}}}], \
         clusters: [{{name: c, cluster: {{server: 'http://{address}'}}}}], users: [{{name: u, user: {{}}}}]}}"
    );
    std::fs::write(&path, text)?;
    Ok(path)
}

/// Waits until it has complained `count` times that something does not work.
async fn complaints(history: &History, count: usize) -> Result<()> {
    let complains = |event: &&Event| matches!(event.fields["level"].as_str(), Some("WARN" | "ERROR"));
    history.wait_for(LONG, |events| (events.iter().filter(complains).count() >= count).then_some(())).await
}

pub async fn without_an_api_server_it_keeps_trying_and_is_not_ready(ground: Ground) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let short = ["--lease-duration", "3s", "--renew-deadline", "2s", "--retry-period", "200ms", ELECTION];
    let (replica, history) = start(&ground, kubeconfig(dir.path())?, &short)?;
    complaints(&history, 5).await?;
    let address = replica.http_address(LONG).await?;
    let (status, _) = get(address, "/readyz").await?;
    promise!(status == 503, "/readyz answers {status}");
    let (status, _) = get(address, "/healthz").await?;
    promise!(status == 200, "/healthz answers {status}");
    promise!(replica.exit_status().is_none(), "it gave up: {:?}", replica.exit_status());
    promise!(acts(&history.events()).is_empty(), "it acted:\n{}", history.table());
    replica.terminate()?;
    let status = replica.wait(LONG).await.context("it does not end without an API server")?;
    promise!(status.code() == Some(0), "it ended with {status}");
    Ok(())
}
