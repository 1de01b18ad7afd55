use std::collections::HashMap;
use std::fs;
use std::time::Instant;

use super::*;

/// As a kubeconfig names it; not every `kube` can make one otherwise.
fn plugin(script: &str) -> ExecConfig {
    let plugin = json!({
        "command": "sh",
        "args": ["-c", script],
        "apiVersion": "client.authentication.k8s.io/v1",
        "interactiveMode": "Never",
    });
    serde_json::from_value(plugin).unwrap()
}

async fn issued(script: &str) -> Result<Issued, PluginError> {
    run(&plugin(script), Patience::default()).await
}

#[tokio::test]
async fn a_token_and_a_certificate_are_read_with_their_end() {
    let token =
        issued(r#"echo '{"status": {"token": "t", "expirationTimestamp": "2100-01-02T03:04:05Z"}}'"#).await.unwrap();
    assert_eq!(token.token.as_deref(), Some("t"));
    assert_eq!(token.valid_until.unwrap().to_string(), "2100-01-02T03:04:05Z");
    let pair = issued(r#"echo '{"status": {"clientCertificateData": "c", "clientKeyData": "k"}}'"#).await.unwrap();
    assert_eq!(pair.certificate, Some(("c".to_owned(), "k".to_owned())));
}

#[tokio::test]
async fn it_gets_its_environment_and_what_is_asked_of_it() {
    let mut plugin = plugin(
        r#"printf '{"status": {"token": "%s %s"}}' "$GREETING" "$(printf %s "$KUBERNETES_EXEC_INFO" | tr -d '"')""#,
    );
    let pair = [("name", "GREETING"), ("value", "hello")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    plugin.env = Some(vec![HashMap::from(pair)]);
    let token = run(&plugin, Patience::default()).await.unwrap().token.unwrap();
    assert!(token.starts_with("hello ") && token.contains("client.authentication.k8s.io/v1"), "{token}");
    assert!(token.contains("interactive:false"), "{token}");
}

#[tokio::test]
async fn what_goes_wrong_is_said_without_what_it_printed() {
    for (script, part) in [
        ("echo secret; exit 3", "exit status: 3"),
        ("echo secret", "ExecCredential"),
        ("echo '{}'", "ExecCredential"),
        (r#"echo '{"status": {"secret": 1}}'"#, "ExecCredential"),
    ] {
        let error = issued(script).await.unwrap_err().to_string();
        assert!(error.contains(part) && !error.contains("secret"), "{error}");
    }
    let missing = ExecConfig { command: Some("no-such-plugin".to_owned()), ..plugin("") };
    assert!(matches!(run(&missing, Patience::default()).await, Err(PluginError::Start(_))));
}

#[tokio::test]
async fn one_that_hangs_is_ended_after_its_bound() {
    let dir = tempfile::tempdir().unwrap();
    let pid = dir.path().join("pid");
    let patience =
        Patience { said_after: Duration::from_millis(1), bound: Duration::from_secs(1), ..Patience::default() };
    let begin = Instant::now();
    let hangs = plugin(&format!("echo $$ > {}; exec sleep 600", pid.display()));
    let error = run(&hangs, patience).await.unwrap_err();
    assert!(matches!(error, PluginError::TooSlow(_)), "{error}");
    assert!(begin.elapsed() < Duration::from_secs(60));
    let pid = fs::read_to_string(pid).unwrap().trim().parse().unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    // It is a zombie until the runtime has reaped it.
    while rustix::process::test_kill_process(pid).is_ok() {
        assert!(begin.elapsed() < Duration::from_secs(60), "it still runs");
        sleep(Duration::from_millis(10)).await;
    }
}
