//! Clients against a server of a few lines, most of it in real time.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

use super::*;
use crate::access::kubeconfig::Environment;
use crate::access::plugin::Patience;

/// Many times what anything here takes.
const BOUND: Duration = Duration::from_secs(60);

/// Lets in who shows the token of the moment, and notes the tokens that it has seen.
#[derive(Clone)]
struct Server {
    address: std::net::SocketAddr,
    token: Arc<Mutex<String>>,
    /// It takes requests, and answers none.
    is_mute: Arc<AtomicBool>,
}

impl Server {
    async fn start(token: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            token: Arc::new(Mutex::new(token.to_owned())),
            is_mute: Arc::default(),
        };
        let serve = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve.clone().answer(stream));
            }
        });
        server
    }

    async fn answer(self, mut stream: TcpStream) {
        let mut request = Vec::new();
        while let Ok(byte) = stream.read_u8().await {
            request.push(byte);
            if !request.ends_with(b"\r\n\r\n") {
                continue;
            }
            if self.is_mute.load(Ordering::Relaxed) {
                std::future::pending().await
            }
            let text = String::from_utf8_lossy(&std::mem::take(&mut request)).to_lowercase();
            let is_known = text.contains(&format!("authorization: bearer {}\r\n", self.token.lock().unwrap()));
            let status = if is_known { "200 OK" } else { "401 Unauthorized" };
            let _ = stream.write_all(format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\n{{}}").as_bytes()).await;
        }
    }

    fn kubeconfig(&self, dir: &Path, user: serde_json::Value) -> PathBuf {
        let content = json!({
            "current-context": "c", "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {"server": format!("http://{}", self.address)}}],
            "users": [{"name": "u", "user": user}],
        });
        let path = dir.join("config");
        fs::write(&path, content.to_string()).unwrap();
        path
    }
}

async fn access(kubeconfig: &Path) -> Result<Access, AccessError> {
    let kubeconfig = kubeconfig.to_owned();
    let environment = Environment::new(move |name| (name == "KUBECONFIG").then(|| kubeconfig.clone().into()));
    Access::infer_in(environment, Patience::default(), Connector::default()).await
}

/// A plugin that prints what is in the file `token`, and notes each run in `runs`. Slowly, if a file `slow` is there.
fn plugin(dir: &Path) -> serde_json::Value {
    let (script, at) = (dir.join("plugin"), dir.display());
    let content = format!(
        "#!/bin/sh\necho >> {at}/runs\n[ ! -e {at}/slow ] || sleep 3\necho \"{{\\\"status\\\": $(cat {at}/token)}}\"\n"
    );
    fs::write(&script, content).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    json!({"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": script, "interactiveMode": "Never"}})
}

fn issue(dir: &Path, token: &str, lasts: Duration) {
    let until = Timestamp::now() + lasts;
    fs::write(dir.join("token"), json!({"token": token, "expirationTimestamp": until.to_string()}).to_string())
        .unwrap();
}

fn runs(dir: &Path) -> usize {
    fs::read_to_string(dir.join("runs")).map_or(0, |runs| runs.lines().count())
}

fn quiet() -> Say {
    Say::new(|_| ())
}

async fn status(client: &Client) -> u16 {
    let answer = client.send(Request::get("/").body(Body::empty()).unwrap()).await;
    answer.map_or(0, |answer| answer.status().as_u16())
}

/// Asks until it is let in.
async fn until_let_in(client: &Client) {
    let ask = async {
        while status(client).await != 200 {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(BOUND, ask).await.expect("it is refused for ever");
}

#[tokio::test]
async fn a_token_file_may_end_in_a_newline_and_change() {
    let (dir, server) = (tempfile::tempdir().unwrap(), Server::start("first").await);
    let file = dir.path().join("token");
    fs::write(&file, "first\n").unwrap();
    let (client, lockout) =
        access(&server.kubeconfig(dir.path(), json!({"tokenFile": file}))).await.unwrap().keep(quiet()).unwrap();
    assert_eq!(status(&client).await, 200);
    *server.token.lock().unwrap() = "second".to_owned();
    assert_eq!(status(&client).await, 401);
    assert!(lockout.is_refused());
    fs::write(&file, "second\r\n").unwrap();
    until_let_in(&client).await;
    assert!(!lockout.is_refused());
    fs::write(&file, " \n").unwrap();
    assert!(access(&dir.path().join("config")).await.unwrap_err().to_string().contains("it is empty"));
}

#[tokio::test]
async fn what_a_given_configuration_names_is_read_anew_as_well() {
    let (dir, server) = (tempfile::tempdir().unwrap(), Server::start("first").await);
    issue(dir.path(), "first", Duration::from_secs(3600));
    let mut config = Config::new(format!("http://{}", server.address).parse().unwrap());
    config.auth_info.exec = serde_json::from_value(plugin(dir.path())["exec"].clone()).unwrap();
    let (client, _) = Access::from(config).keep(quiet()).unwrap();
    assert_eq!(status(&client).await, 200, "the first request waits for the plugin");
    *server.token.lock().unwrap() = "second".to_owned();
    issue(dir.path(), "second", Duration::from_secs(3600));
    until_let_in(&client).await;
    assert_eq!(runs(dir.path()), 2);
}

#[tokio::test]
async fn a_refusal_has_the_plugin_asked_and_asked_ever_more_rarely() {
    let (dir, server) = (tempfile::tempdir().unwrap(), Server::start("first").await);
    issue(dir.path(), "wrong", Duration::from_secs(3600));
    let (client, _) = access(&server.kubeconfig(dir.path(), plugin(dir.path()))).await.unwrap().keep(quiet()).unwrap();
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(5) {
        assert_eq!(status(&client).await, 401);
        sleep(Duration::from_millis(10)).await;
    }
    // At the start, at once, and after 2 or 4 s.
    assert!((3..=4).contains(&runs(dir.path())), "{} runs", runs(dir.path()));
    issue(dir.path(), "first", Duration::from_secs(3600));
    until_let_in(&client).await;
}

/// Requests are given up while the plugin works, as an elector does whose attempt has no answer in time.
#[tokio::test]
async fn a_slow_plugin_is_run_once_beside_the_requests_and_before_what_it_issued_ends() {
    let (dir, server) = (tempfile::tempdir().unwrap(), Server::start("first").await);
    issue(dir.path(), "first", Duration::from_secs(5));
    let (client, _) = access(&server.kubeconfig(dir.path(), plugin(dir.path()))).await.unwrap().keep(quiet()).unwrap();
    fs::write(dir.path().join("slow"), "").unwrap();
    issue(dir.path(), "second", Duration::from_secs(3600));
    let begin = Instant::now();
    // It is due after four seconds, and takes three.
    while begin.elapsed() < Duration::from_secs(6) {
        let answer = timeout(Duration::from_millis(500), status(&client)).await;
        assert_eq!(answer, Ok(200), "a request waits for the plugin, {:?} after the start", begin.elapsed());
        drop(timeout(Duration::ZERO, status(&client)).await);
        sleep(Duration::from_millis(50)).await;
    }
    *server.token.lock().unwrap() = "second".to_owned();
    until_let_in(&client).await;
    assert_eq!(runs(dir.path()), 2, "once at the start and once before the end");
}

#[tokio::test]
async fn a_failing_renewal_keeps_what_was_there_and_is_said() {
    let (dir, server) = (tempfile::tempdir().unwrap(), Server::start("first").await);
    let path = server.kubeconfig(dir.path(), json!({"token": "first"}));
    let said = Arc::new(Mutex::new(Vec::new()));
    let hear = Arc::clone(&said);
    let say = Say::new(move |news| hear.lock().unwrap().push(news.map_err(|error| error.to_string())));
    let (client, _) = access(&path).await.unwrap().keep(say).unwrap();
    fs::write(&path, "{").unwrap();
    *server.token.lock().unwrap() = "second".to_owned();
    let begin = Instant::now();
    while said.lock().unwrap().is_empty() {
        assert!(begin.elapsed() < BOUND, "nothing is said");
        assert_eq!(status(&client).await, 401);
        sleep(Duration::from_millis(50)).await;
    }
    assert!(said.lock().unwrap().iter().all(Result::is_err), "{said:?}");
    server.kubeconfig(dir.path(), json!({"token": "second"}));
    until_let_in(&client).await;
    assert_eq!(said.lock().unwrap().last(), Some(&Ok(())));
}

/// Two addresses of one name, as two API servers have.
#[tokio::test]
async fn an_attempt_that_had_no_answer_is_followed_by_one_at_the_other_address() {
    let (a, b) = (Server::start("t").await, Server::start("t").await);
    let mut config = Config::new("http://api.test".parse().unwrap());
    config.auth_info.token = Some("t".to_owned().into());
    let mut access = Access::from(config);
    let addresses = vec![a.address, b.address];
    access.connector = Connector::new(move |_, _| {
        let addresses = addresses.clone();
        Box::pin(async move { Ok(addresses) })
    });
    let (client, _) = access.keep(quiet()).unwrap();
    // Two connections, so that another one waits in the pool when the first is given up.
    assert_eq!(futures::join!(status(&client), status(&client)), (200, 200));
    a.is_mute.store(true, Ordering::Relaxed);
    let attempt = timeout(Duration::from_millis(500), status(&client)).await;
    assert!(attempt.is_err(), "it was not the first address: {attempt:?}");
    assert_eq!(timeout(BOUND, status(&client)).await, Ok(200), "the second attempt");
    b.is_mute.store(true, Ordering::Relaxed);
    a.is_mute.store(false, Ordering::Relaxed);
    assert!(timeout(Duration::from_millis(500), status(&client)).await.is_err(), "it was not the second address");
    assert_eq!(timeout(BOUND, status(&client)).await, Ok(200), "and back");
}
