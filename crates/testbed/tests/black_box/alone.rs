//! How a replica behaves without an API server. These cases run everywhere.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Result;
use serde_json::Value;
use still_leading_testbed::history::{Event, acts};
use still_leading_testbed::replica::Launch;
use still_leading_testbed::{History, Replica};

use crate::fixture::{Fixture, LONG};
use crate::observe::{get, wait_until_ok};
use crate::promise::{promise, promise_within};

const ELECTION: &str = "--enable-leader-election";

/// A variable that the kubelet sets in each container.
const IN_A_POD: (&str, &str) = ("KUBERNETES_SERVICE_HOST", "192.0.2.1");

fn start(fixture: &Fixture, kubeconfig: PathBuf, args: &[&str], env: &[(&str, &str)]) -> Result<(Replica, History)> {
    let history = History::default();
    let common = ["--log-format", "json", "--listen", "127.0.0.1:0", "--identity", "alone", "--tick", "50ms"];
    let args = common.iter().chain(args).map(ToString::to_string).collect();
    let (program, name) = (fixture.program.clone(), "alone".to_owned());
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let replica = Replica::start(Launch { program, name, kubeconfig, args, env }, &history)?;
    Ok((replica, history))
}

pub async fn a_bad_flag_is_one_line_and_exit_code_2(fixture: Fixture) -> Result<()> {
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
        let mut command = Command::new(&fixture.program);
        command.args(flags).arg(ELECTION).env_clear().stdin(Stdio::null());
        let output = command.output()?;
        let (out, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        promise!(output.status.code() == Some(2), "{flags:?} ends with {}: {out}{error}", output.status);
        promise!(error.lines().count() == 1 && error.starts_with("error: "), "{flags:?} is not one line: {error:?}");
        promise!(out.is_empty(), "{flags:?} prints to standard output: {out:?}");
    }
    bad_variables(&fixture)?;
    let output = Command::new(&fixture.program).arg("--version").env_clear().stdin(Stdio::null()).output()?;
    let version = String::from_utf8_lossy(&output.stdout);
    let names_it = version.starts_with(&format!("{} 0.1.0", fixture.variant.full_name()));
    promise!(output.status.code() == Some(0) && names_it, "--version ends with {}: {version:?}", output.status);
    let output = Command::new(&fixture.program).arg("--help").env_clear().stdin(Stdio::null()).output()?;
    let help = String::from_utf8_lossy(&output.stdout);
    promise!(output.status.code() == Some(0), "--help ends with {}", output.status);
    // The default of --drain-timeout is 20s. The kit's tests compare the pods' grace periods with it.
    for word in ["--enable-leader-election", "LEASE_NAME", "POD_NAMESPACE", "15s", "default: 20s", "Exit codes"] {
        promise!(help.contains(word), "--help lacks {word}:\n{help}");
    }
    Ok(())
}

/// In a pod nobody gives flags, so the error names the variable.
fn bad_variables(fixture: &Fixture) -> Result<()> {
    // The last value is valid by itself, but does not fit the others.
    let bad = [
        ("TICK", "soon"),
        ("LEASE_DURATION", "soon"),
        ("RENEW_DEADLINE", ""),
        ("DRAIN_TIMEOUT", "1"),
        ("ENABLE_LEADER_ELECTION", "soon"),
        ("LOG_FORMAT", "xml"),
        ("LEASE_DURATION", "8s"),
    ];
    for (variable, value) in bad {
        let mut command = Command::new(&fixture.program);
        let output = command.env_clear().env(variable, value).stdin(Stdio::null()).output()?;
        let error = String::from_utf8_lossy(&output.stderr);
        promise!(output.status.code() == Some(2), "{variable}={value} ends with {}: {error}", output.status);
        let is_one_line = error.lines().count() == 1 && error.starts_with("error: ");
        promise!(is_one_line && error.contains(variable), "{variable}={value} is not named in one line: {error:?}");
    }
    Ok(())
}

pub async fn without_an_election_it_leads_for_life(fixture: Fixture) -> Result<()> {
    // In a cluster several replicas would each lead, so in a pod the log has to warn.
    for (env, level) in [(&[][..], "INFO"), (&[IN_A_POD][..], "WARN")] {
        leads_for_life_and_says_so(&fixture, env, level).await?;
    }
    Ok(())
}

async fn leads_for_life_and_says_so(fixture: &Fixture, env: &[(&str, &str)], level: &str) -> Result<()> {
    let (replica, history) = start(fixture, PathBuf::from("/nonexistent"), &["--lease-name=l"], env)?;
    let acting = history.wait_for(LONG, |events| (acts(events).len() >= 3).then_some(()));
    promise_within(acting, "it does not act").await?;
    wait_until_ok(&replica, "/readyz").await?;
    let (_, body) = get(&replica, "/leader").await?;
    promise!(body.contains("\"leading\":true"), "/leader answers {body}");
    let (_, metrics) = get(&replica, "/metrics").await?;
    promise!(metrics.contains("leader_election_enabled{name=\"l\"} 0"), "/metrics answers {metrics}");
    let is_it = |event: &&Event| event.message == "leader election is off, this replica leads for life";
    let said = history.events().iter().find(is_it).and_then(|event| event.fields.get("level").cloned());
    promise!(said.as_ref().and_then(Value::as_str) == Some(level), "with {env:?} it says so at level {said:?}");
    replica.terminate()?;
    let status = promise_within(replica.wait(LONG), "it does not end").await?;
    promise!(status.code() == Some(0), "it ended with {status}; {}", replica.stderr());
    let said = |message: &str| history.events().iter().any(|event| event.message == message);
    promise!(said("leading cancelled") && said("stopped leading"), "it did not end its term:\n{}", history.table());
    promise!(history.malformed().is_empty(), "lines that are not events: {:?}", history.malformed());
    Ok(())
}

/// Writes a kubeconfig with an address on which nobody listens.
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

pub async fn without_an_api_server_it_keeps_trying_and_is_not_ready(fixture: Fixture) -> Result<()> {
    /// How many failed attempts show that it goes on.
    const COMPLAINTS: usize = 5;
    let dir = tempfile::tempdir()?;
    let timings = fixture.timings();
    let in_flag = |duration: Duration| format!("{}ms", duration.as_millis());
    let [lease, deadline, retry] = [timings.lease_duration, timings.renew_deadline, timings.retry_period].map(in_flag);
    let short = ["--lease-duration", &lease, "--renew-deadline", &deadline, "--retry-period", &retry, ELECTION];
    let (replica, history) = start(&fixture, kubeconfig(dir.path())?, &short, &[])?;
    let complains =
        |event: &&Event| matches!(event.fields.get("level").and_then(Value::as_str), Some("WARN" | "ERROR"));
    let has_ended = || replica.exit_status().is_some();
    let going_on = history
        .wait_for(LONG, |events| (events.iter().filter(complains).count() >= COMPLAINTS || has_ended()).then_some(()));
    promise_within(going_on, "it does not say that something is wrong").await?;
    let end = replica.exit_status().map_or_else(String::new, |status| status.to_string());
    promise!(!has_ended(), "it gave up: {end}\n{}\n{}", history.table(), replica.stderr());
    let (status, _) = get(&replica, "/readyz").await?;
    promise!(status == 503, "/readyz answers {status}");
    let (status, _) = get(&replica, "/healthz").await?;
    promise!(status == 200, "/healthz answers {status}");
    promise!(acts(&history.events()).is_empty(), "it acted\n{}", history.table());
    replica.terminate()?;
    let status = promise_within(replica.wait(LONG), "it does not end without an API server").await?;
    promise!(status.code() == Some(0), "it ended with {status}");
    Ok(())
}
