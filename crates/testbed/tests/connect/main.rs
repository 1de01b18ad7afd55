//! How a replica finds the API server, and what it does while it is not let in. For every variant, on the embedded API server.
//!
//! These are not cases of the black-box suite, in which each replica has a working kubeconfig.

mod mutual;

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream as BlockingStream};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use kube::api::PostParams;
use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::{Value, json};
use still_leading_testbed::replica::Launch;
use still_leading_testbed::{ApiServer, History, Profile, Replica, ServerKind, Variant};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use mutual::Door;

/// Many times longer than anything here takes on a busy machine.
const LONG: Duration = Duration::from_secs(60);
/// The shortest renew deadline that every variant takes.
const RENEW_DEADLINE: Duration = Duration::from_secs(3);
/// How many renew deadlines pass until the lockout, as documented.
const LOCKED_OUT_AFTER: u32 = 12;

type Case = fn(&Bench) -> std::pin::Pin<Box<dyn Future<Output = Result<()>> + '_>>;

macro_rules! cases {
    ($($name:ident),+ $(,)?) => { [$((stringify!($name), (|bench| Box::pin($name(bench))) as Case)),+] };
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // The tests mostly wait.
    arguments.test_threads.get_or_insert(6);
    let of_all = cases![
        missing_files_a_newline_and_an_exception_from_the_proxy_hinder_nobody,
        an_http_proxy_of_the_kubeconfig_is_used,
        a_socks5_proxy_of_the_kubeconfig_is_used,
        a_hanging_credential_plugin_delays_no_shutdown,
        a_lasting_lockout_turns_healthz_bad_with_the_reason,
    ];
    let of_native = cases![
        a_certificate_authority_is_read_anew,
        a_token_that_a_plugin_renews_is_used,
        a_client_certificate_in_files_is_read_anew,
        a_client_certificate_of_a_plugin_is_renewed_before_it_ends,
    ];
    let mut trials = Vec::new();
    for variant in Variant::ALL.iter().copied() {
        let missing = variant.missing_toolchain();
        if let Some(reason) = missing.as_ref().filter(|_| !arguments.list) {
            eprintln!("note: the tests of {variant} are ignored: {reason}");
        }
        let own = of_native.iter().filter(|_| variant == Variant::Native);
        for (name, case) in of_all.iter().chain(own).copied() {
            let run = move || run(variant, case).map_err(|error| Failed::from(format!("{error:#}")));
            trials.push(Trial::test(format!("{variant}::{name}"), run).with_ignored_flag(missing.is_some()));
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn run(variant: Variant, case: Case) -> Result<()> {
    let program = variant.build(Profile::Debug)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let api_server = ApiServer::start(ServerKind::Embedded).await?;
        // As the kit ships it. kube-leader-election cannot read an empty Lease, so it gets none.
        if variant != Variant::KubeLeaderElection {
            let metadata = ObjectMeta { name: Some("connect".to_owned()), ..ObjectMeta::default() };
            let lease = Lease { metadata, ..Lease::default() };
            Api::<Lease>::namespaced(api_server.client()?, "default").create(&PostParams::default(), &lease).await?;
        }
        let dir = tempfile::tempdir()?;
        let kubeconfig = fs::read_to_string(api_server.admin_kubeconfig(dir.path(), "default")?)?;
        let bench =
            Bench { variant, program, dir: dir.path().to_owned(), kubeconfig: serde_json::from_str(&kubeconfig)? };
        case(&bench).await
    })
}

/// A variant, and a kubeconfig that works.
struct Bench {
    variant: Variant,
    program: PathBuf,
    dir: PathBuf,
    kubeconfig: Value,
}

impl Bench {
    fn write(&self, name: &str, content: &str) -> Result<PathBuf> {
        let path = self.dir.join(name);
        fs::write(&path, content)?;
        Ok(path)
    }

    /// Writes a kubeconfig with this user, and with `more` in its cluster.
    fn kubeconfig(&self, user: &Value, more: &Value) -> Result<PathBuf> {
        let mut kubeconfig = self.kubeconfig.clone();
        if !user.is_null() {
            kubeconfig["users"][0]["user"] = user.clone();
        }
        for (name, value) in more.as_object().into_iter().flatten() {
            kubeconfig["clusters"][0]["cluster"][name] = value.clone();
        }
        self.write("changed.kubeconfig", &kubeconfig.to_string())
    }

    fn token(&self) -> &str {
        self.kubeconfig["users"][0]["user"]["token"].as_str().unwrap_or_default()
    }

    fn start(&self, kubeconfig: impl Into<PathBuf>, env: &[(&str, &str)]) -> Result<(Replica, History)> {
        let history = History::default();
        let args = "--enable-leader-election --lease-name connect --identity pod --listen 127.0.0.1:0 --log-format json \
                    --lease-duration 5s --renew-deadline 3s --retry-period 500ms --tick 100ms";
        let launch = Launch {
            program: self.program.clone(),
            name: self.variant.name().to_owned(),
            kubeconfig: kubeconfig.into(),
            args: args.split_whitespace().map(str::to_owned).collect(),
            env: env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        };
        Ok((Replica::start(launch, &history)?, history))
    }

    async fn door(&self) -> Result<Door> {
        let cluster = &self.kubeconfig["clusters"][0]["cluster"];
        let ca = fs::read(cluster["certificate-authority"].as_str().context("no CA")?)?;
        let server = cluster["server"].as_str().and_then(|url| url.strip_prefix("https://")).context("no server")?;
        Door::open(server.parse()?, &ca).await
    }

    /// Leads through the door as `user`, whose certificate expires soon. Has it replaced, and checks that the term goes on.
    async fn leads_on_after(&self, door: &Door, user: &Value, replace: impl FnOnce() -> Result<()>) -> Result<()> {
        let authority = self.write("door.crt", &door.ca_pem())?;
        let cluster = json!({ "server": format!("https://{}", door.address), "certificate-authority": authority });
        let begin = Instant::now();
        let (_replica, history) = self.start(self.kubeconfig(user, &cluster)?, &[])?;
        said(&history, "still leading", LONG).await?;
        ensure!(begin.elapsed() < SHORT, "the certificate has ended already");
        replace()?;
        tokio::time::sleep(SHORT + RENEW_DEADLINE * 3).await;
        let ended = history.events().into_iter().any(|event| event.message == "stopped leading");
        ensure!(!ended, "the term has ended:\n{}", history.table());
        Ok(())
    }

    /// Starts a replica and waits until it leads.
    async fn leads(&self, kubeconfig: impl Into<PathBuf>, env: &[(&str, &str)]) -> Result<()> {
        let (replica, history) = self.start(kubeconfig, env)?;
        said(&history, "still leading", LONG).await.with_context(|| replica.stderr())
    }
}

async fn said(history: &History, message: &str, bound: Duration) -> Result<()> {
    let found = history.wait_for(bound, |events| events.iter().any(|event| event.message == message).then_some(()));
    found.await.with_context(|| format!("it never said \"{message}\":\n{}", history.table()))
}

async fn missing_files_a_newline_and_an_exception_from_the_proxy_hinder_nobody(bench: &Bench) -> Result<()> {
    let token = bench.write("token", &format!("{}\n", bench.token()))?;
    let kubeconfig = bench.kubeconfig(&json!({ "tokenFile": token }), &Value::Null)?;
    let list = std::env::join_paths([&bench.dir.join("missing"), &kubeconfig])?;
    // Nobody listens at the proxy's port.
    // kube's own proxy support refuses an empty entry in version 5 (kube-client 5.0.0, config/no_proxy.rs:140).
    let of_kube_5 = matches!(bench.variant, Variant::KubeLeaseManager | Variant::K8sController);
    let exceptions = if of_kube_5 { "127.0.0.1" } else { "127.0.0.1,," };
    bench.leads(list, &[("HTTPS_PROXY", "http://127.0.0.1:9"), ("NO_PROXY", exceptions)]).await
}

async fn an_http_proxy_of_the_kubeconfig_is_used(bench: &Bench) -> Result<()> {
    through_a_proxy(bench, "http").await
}

async fn a_socks5_proxy_of_the_kubeconfig_is_used(bench: &Bench) -> Result<()> {
    through_a_proxy(bench, "socks5").await
}

async fn through_a_proxy(bench: &Bench, scheme: &str) -> Result<()> {
    let (proxy, tunnels) = proxy().await?;
    let kubeconfig = bench.kubeconfig(&Value::Null, &json!({ "proxy-url": format!("{scheme}://{proxy}") }))?;
    bench.leads(kubeconfig, &[("NO_PROXY", "127.0.0.1")]).await?;
    ensure!(tunnels.load(Ordering::Relaxed) > 0, "the proxy was not asked");
    Ok(())
}

/// Starts a proxy for HTTP and SOCKS5 that counts its tunnels.
async fn proxy() -> Result<(SocketAddr, Arc<AtomicUsize>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let (address, tunnels) = (listener.local_addr()?, Arc::<AtomicUsize>::default());
    let count = Arc::clone(&tunnels);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(tunnel(stream, Arc::clone(&count)));
        }
    });
    Ok((address, tunnels))
}

async fn tunnel(mut client: TcpStream, tunnels: Arc<AtomicUsize>) -> Result<()> {
    let first = client.read_u8().await?;
    let (to, reply): (String, &[u8]) = if first == 5 {
        // The methods of authentication; the answer is "none".
        let mut methods = vec![0; client.read_u8().await?.into()];
        client.read_exact(&mut methods).await?;
        client.write_all(&[5, 0]).await?;
        let mut request = [0; 4];
        client.read_exact(&mut request).await?;
        let host = match request {
            // Connects to an address of IPv4 or to a name.
            [5, 1, 0, 1] => Ipv4Addr::from(client.read_u32().await?).to_string(),
            [5, 1, 0, 3] => {
                let mut name = vec![0; client.read_u8().await?.into()];
                client.read_exact(&mut name).await?;
                String::from_utf8(name)?
            }
            _ => anyhow::bail!("{request:?}"),
        };
        (format!("{host}:{}", client.read_u16().await?), &[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])
    } else {
        let mut head = vec![first];
        while !head.ends_with(b"\r\n\r\n") {
            head.push(client.read_u8().await?);
        }
        let head = String::from_utf8(head)?;
        let to = head.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next()).context("no CONNECT")?;
        (to.to_owned(), b"HTTP/1.1 200 OK\r\n\r\n")
    };
    let mut server = TcpStream::connect(to).await?;
    client.write_all(reply).await?;
    tunnels.fetch_add(1, Ordering::Relaxed);
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}

fn plugin(script: &str) -> Value {
    json!({ "exec": {
        "apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never", "command": "sh", "args": ["-c", script],
    }})
}

async fn a_hanging_credential_plugin_delays_no_shutdown(bench: &Bench) -> Result<()> {
    let (replica, history) = bench.start(bench.kubeconfig(&plugin("exec sleep 600"), &Value::Null)?, &[])?;
    if bench.variant == Variant::ClientGo {
        // It asks the plugin with its first request, and does not log that.
        said(&history, "attempting to acquire leader lease", LONG).await?;
    } else {
        let waits = |events: &[still_leading_testbed::Event]| {
            events.iter().any(|event| event.message.starts_with("waiting for the credential")).then_some(())
        };
        history.wait_for(LONG, waits).await.with_context(|| history.table())?;
    }
    replica.terminate()?;
    let end = replica.wait(Duration::from_secs(20)).await?;
    ensure!(end.code() == Some(0), "it ended with {end}\n{}", history.table());
    Ok(())
}

async fn a_lasting_lockout_turns_healthz_bad_with_the_reason(bench: &Bench) -> Result<()> {
    let begin = Instant::now();
    let (replica, history) = bench.start(bench.kubeconfig(&json!({ "token": "unknown" }), &Value::Null)?, &[])?;
    let address = replica.http_address(LONG).await?;
    let healthy = get(address, "/healthz")?;
    ensure!(healthy.starts_with("HTTP/1.1 200"), "right at the start: {healthy}");
    let bound = RENEW_DEADLINE * LOCKED_OUT_AFTER;
    loop {
        let health = get(address, "/healthz")?;
        if health.starts_with("HTTP/1.1 503") {
            ensure!(health.contains("401"), "{health}");
            ensure!(begin.elapsed() >= bound, "after {:?} already", begin.elapsed());
            break;
        }
        ensure!(begin.elapsed() < bound + LONG, "healthy for ever\n{}", history.table());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    said(&history, "locked out of the API server", LONG).await?;
    let metrics = get(address, "/metrics")?;
    ensure!(metrics.contains("leader_election_locked_out{name=\"connect\"} 1"), "{metrics}");
    Ok(())
}

async fn a_certificate_authority_is_read_anew(bench: &Bench) -> Result<()> {
    let path =
        Path::new(bench.kubeconfig["clusters"][0]["cluster"]["certificate-authority"].as_str().context("no CA")?);
    let right = fs::read(path)?;
    let other = ApiServer::start(ServerKind::Embedded).await?;
    let authority = bench.write("ca.crt", &other.ca_pem())?;
    let kubeconfig = bench.kubeconfig(&Value::Null, &json!({ "certificate-authority": authority }))?;
    let (_replica, history) = bench.start(kubeconfig, &[])?;
    said(&history, "error retrieving lease", LONG).await?;
    fs::write(authority, right)?;
    said(&history, "still leading", LONG).await
}

async fn a_token_that_a_plugin_renews_is_used(bench: &Bench) -> Result<()> {
    let token = bench.write("token", "outdated")?;
    let script = format!(r#"printf '{{"status": {{"token": "%s"}}}}' "$(cat {})""#, token.display());
    let (_replica, history) = bench.start(bench.kubeconfig(&plugin(&script), &Value::Null)?, &[])?;
    said(&history, "error retrieving lease", LONG).await?;
    fs::write(token, bench.token())?;
    said(&history, "still leading", LONG).await
}

/// How long the first of two certificates is valid.
const SHORT: Duration = Duration::from_secs(15);

async fn a_client_certificate_in_files_is_read_anew(bench: &Bench) -> Result<()> {
    let door = bench.door().await?;
    let put = |(certificate, key): (String, String)| -> Result<Value> {
        let (certificate, key) = (bench.write("client.crt", &certificate)?, bench.write("client.key", &key)?);
        Ok(json!({ "token": bench.token(), "client-certificate": certificate, "client-key": key }))
    };
    let user = put(door.visitor(SHORT)?)?;
    bench.leads_on_after(&door, &user, || put(door.visitor(LONG * 60)?).map(drop)).await
}

async fn a_client_certificate_of_a_plugin_is_renewed_before_it_ends(bench: &Bench) -> Result<()> {
    let door = bench.door().await?;
    let put = |lasts: Duration| -> Result<PathBuf> {
        let (certificate, key) = door.visitor(lasts)?;
        let until = k8s_openapi::jiff::Timestamp::now() + lasts;
        let status = json!({ "token": bench.token(), "clientCertificateData": certificate, "clientKeyData": key,
            "expirationTimestamp": until.to_string() });
        bench.write("credential", &json!({ "status": status }).to_string())
    };
    let user = plugin(&format!("cat {}", put(SHORT)?.display()));
    bench.leads_on_after(&door, &user, || put(LONG * 60).map(drop)).await
}

/// Returns status line, headers and body of the answer.
fn get(address: SocketAddr, path: &str) -> Result<String> {
    let mut stream = BlockingStream::connect(address)?;
    stream.set_read_timeout(Some(LONG))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: replica\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
