//! An API server on a thread of its own, and electors on it.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client};
use secrecy::SecretString;
use still_leading::{Config, Elector, OnOverstay};
use still_leading_lease_api::{Access, Options, Server, User};
use tokio::runtime::Builder;
use tokio::sync::oneshot;

pub const TOKEN: &str = "of-a-test";
/// Many times what anything here takes.
pub const BOUND: Duration = Duration::from_secs(120);

/// Runs until it is dropped, whatever the test's own runtime does.
pub struct ApiServer {
    pub url: String,
    _stop: oneshot::Sender<()>,
}

impl ApiServer {
    pub fn start() -> Self {
        let (tell, url) = mpsc::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        thread::spawn(move || {
            Builder::new_current_thread().enable_all().build().unwrap().block_on(async move {
                let server = Server::start(Options::default()).await.unwrap();
                server.add_user(User { name: "test".to_owned(), token: TOKEN.to_owned(), access: Access::All });
                tell.send(server.url()).unwrap();
                // Ends with the sender, whichever way that goes.
                let _ = stopped.await;
                server.stop().await;
            });
        });
        Self { url: url.recv().unwrap(), _stop: stop }
    }

    pub fn config(&self) -> kube::Config {
        config(&self.url)
    }

    /// With short durations. The elector makes the Lease itself, and so leads after a lease duration first.
    pub fn elector(&self, identity: &str) -> Elector {
        self.elector_with(identity, |_| {})
    }

    pub fn elector_with(&self, identity: &str, change: impl FnOnce(&mut Config)) -> Elector {
        let mut config = short(identity);
        change(&mut config);
        Elector::new(self.config(), config).unwrap()
    }

    /// The holder as the API server has it, asked on a runtime of its own.
    pub fn holder(&self) -> Option<String> {
        let config = self.config();
        let ask = move || {
            Builder::new_current_thread().enable_all().build().unwrap().block_on(async move {
                let leases = Api::<Lease>::default_namespaced(Client::try_from(config).unwrap());
                leases.get_opt("my-lease").await.unwrap()?.spec?.holder_identity
            })
        };
        thread::spawn(ask).join().unwrap()
    }

    /// Waits until the holder is such a one.
    pub fn wait_for_holder(&self, is_it: impl Fn(&str) -> bool) {
        wait_until("this holder", || self.holder().is_some_and(|holder| is_it(&holder)));
    }
}

pub fn config(url: &str) -> kube::Config {
    let mut config = kube::Config::new(url.parse().unwrap());
    config.auth_info.token = Some(SecretString::from(TOKEN));
    config
}

/// Two seconds are the shortest lease that leaves room for two attempts on a busy machine.
pub fn short(identity: &str) -> Config {
    Config {
        lease: "my-lease".to_owned(),
        identity: identity.into(),
        lease_duration: Duration::from_secs(2),
        renew_deadline: Duration::from_millis(1500),
        retry_period: Duration::from_millis(300),
        on_overstay: OnOverstay::Return,
        hands_over: true,
        ..Config::default()
    }
}

pub fn wait_until(what: &str, is_it: impl Fn() -> bool) {
    let begin = Instant::now();
    while !is_it() {
        assert!(begin.elapsed() < BOUND, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(20));
    }
}
