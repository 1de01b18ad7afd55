//! A client that sends exactly what the test asks for. So it is not a client under test.

use std::net::SocketAddr;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

pub const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/default/leases";

pub fn lease(name: &str, holder: &str) -> Value {
    json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name},
        "spec": {"holderIdentity": holder}})
}

/// A status code and a body. For a watch, everything until its end.
pub type Answer = (u16, Value);

pub struct Client {
    address: SocketAddr,
    token: String,
}

impl Client {
    pub fn new(address: SocketAddr, token: &str) -> Self {
        Self { address, token: token.to_owned() }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, "json", Vec::new()).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, "json", body.to_string().into_bytes()).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.send("PUT", path, "json", body.to_string().into_bytes()).await
    }

    pub async fn patch(&self, path: &str, kind: &str, body: &Value) -> Answer {
        self.send("PATCH", path, kind, body.to_string().into_bytes()).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, "json", Vec::new()).await
    }

    pub async fn send(&self, method: &str, path: &str, kind: &str, body: Vec<u8>) -> Answer {
        let response = self.request(method, path, kind, body).await;
        let code = response.status().as_u16();
        let body = response.into_body().collect().await.expect("the body ends early").to_bytes();
        (code, serde_json::from_slice(&body).unwrap_or_else(|_| String::from_utf8_lossy(&body).into()))
    }

    pub async fn watch(&self, path: &str) -> Watch {
        let response = self.request("GET", path, "json", Vec::new()).await;
        assert_eq!(response.status(), 200);
        Watch { body: response.into_body(), read: Vec::new() }
    }

    async fn request(&self, method: &str, path: &str, kind: &str, body: Vec<u8>) -> Response<Incoming> {
        let stream = TcpStream::connect(self.address).await.expect("nobody listens");
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.expect("no HTTP");
        tokio::spawn(connection);
        let mut request =
            Request::builder().method(method).uri(path).header("content-type", format!("application/{kind}"));
        if !self.token.is_empty() {
            request = request.header("authorization", format!("Bearer {}", self.token));
        }
        let request = request.header("host", self.address.to_string()).header("user-agent", "test/1");
        let request = request.body(Full::new(Bytes::from(body))).expect("a request that cannot be sent");
        sender.send_request(request).await.expect("no answer")
    }
}

pub struct Watch {
    body: Incoming,
    read: Vec<u8>,
}

impl Watch {
    /// Returns the next event; `None` once the watch has ended in any way.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.read.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).expect("a line that is not JSON"));
            }
            let frame = self.body.frame().await?.ok()?;
            self.read.extend_from_slice(frame.data_ref()?);
        }
    }
}
