//! The proxy in front of a stand-in for the API server. It answers in chunks, to test streaming.

mod answers;
mod connections;
mod delays;
mod watches;
mod words;

use super::*;
use hyper::body::Bytes;
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;

const BOUND: Duration = Duration::from_secs(10);
/// If nothing comes for this long, the tests take it that nothing will.
const SILENCE: Duration = Duration::from_millis(200);
const WATCH: &str = "/apis/coordination.k8s.io/v1/namespaces/ns/leases?watch=true";
const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/ns/leases/mine";

type Stream = tokio_rustls::server::TlsStream<TcpStream>;

struct Setup {
    authority: Authority,
    proxy: Proxy,
    server: TcpListener,
}

impl Setup {
    async fn new() -> Self {
        let authority = Authority::new().unwrap();
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Proxy::start(&authority, server.local_addr().unwrap()).await.unwrap();
        Self { authority, proxy, server }
    }

    async fn client(&self) -> TlsStream<TcpStream> {
        let stream = TcpStream::connect(self.proxy.address).await.unwrap();
        let name = ServerName::from(self.proxy.address.ip());
        self.authority.connector().unwrap().connect(name, stream).await.unwrap()
    }

    async fn accept(&self) -> Stream {
        let (stream, _) = self.server.accept().await.unwrap();
        self.authority.acceptor().unwrap().accept(stream).await.unwrap()
    }

    /// Returns a client and a server with a proxy between them.
    async fn connected(&self) -> (TlsStream<TcpStream>, Stream) {
        let connecting = async { tokio::join!(self.client(), self.accept()) };
        timeout(BOUND, connecting).await.expect("no connection came about")
    }
}

async fn send(stream: &mut (impl AsyncWriteExt + Unpin), text: &str) {
    stream.write_all(text.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
}

/// Reads until `end` has arrived.
async fn read_until(stream: &mut (impl AsyncReadExt + Unpin), end: &str) -> String {
    let mut read = String::new();
    while !read.contains(end) {
        let byte = timeout(BOUND, stream.read_u8()).await.unwrap_or_else(|_| panic!("no {end:?} in {read:?}")).unwrap();
        read.push(char::from(byte));
    }
    read
}

/// Reads the rest until the connection ends in any way.
async fn rest(stream: &mut (impl AsyncReadExt + Unpin)) -> Bytes {
    let mut read = Vec::new();
    timeout(BOUND, stream.read_to_end(&mut read)).await.expect("the connection did not end").ok();
    read.into()
}

/// Fails if anything arrives, also if the connection ends.
async fn silent(stream: &mut (impl AsyncReadExt + Unpin)) {
    timeout(SILENCE, stream.read_u8()).await.expect_err("there was no silence");
}

/// Returns how a connection ended; `None` for a regular end.
async fn end(stream: &mut (impl AsyncReadExt + Unpin)) -> Option<io::ErrorKind> {
    let ended = timeout(BOUND, stream.read_to_end(&mut Vec::new())).await.expect("the connection did not end");
    ended.err().map(|error| error.kind())
}

async fn ask(client: &mut TlsStream<TcpStream>, method: &str, path: &str) {
    send(client, &format!("{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nbody")).await;
}

/// Takes one request, answers it, and returns it.
async fn serve(server: &mut Stream, status: &str) -> String {
    let request = read_until(server, "\r\n\r\nbody").await;
    send(server, &format!("HTTP/1.1 {status}\r\ncontent-length: 4\r\n\r\ndone")).await;
    request
}

/// Sends a request that passes, and checks that its answer passes too.
async fn pass(client: &mut TlsStream<TcpStream>, server: &mut Stream, method: &str, path: &str) {
    ask(client, method, path).await;
    serve(server, "200 OK").await;
    assert!(read_until(client, "\r\n\r\ndone").await.starts_with("HTTP/1.1 200"));
}

async fn start_watch(client: &mut TlsStream<TcpStream>, server: &mut Stream) {
    send(client, &format!("GET {WATCH} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer secret\r\n\r\n")).await;
    let request = read_until(server, "\r\n\r\n").await;
    assert!(request.contains("Bearer secret"), "{request}");
    send(server, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
    tell(server, "one\n").await;
    read_until(client, "one\n\r\n").await;
}

/// Sends one part of a watch.
async fn tell(server: &mut Stream, part: &str) {
    send(server, &format!("{:x}\r\n{part}\r\n", part.len())).await;
}

#[tokio::test]
async fn a_watch_is_passed_on_event_by_event_and_recorded_without_its_token() {
    let setup = Setup::new().await;
    let (mut client, mut server) = setup.connected().await;
    let before = crate::history::now();
    start_watch(&mut client, &mut server).await;
    tell(&mut server, "two\n").await;
    read_until(&mut client, "two").await;

    let requests = setup.proxy.requests();
    assert_eq!((requests[0].verb, requests[0].path.as_str(), requests[0].status), (Verb::Watch, WATCH, Some(200)));
    assert!(requests[0].at >= before);
    assert!(!format!("{requests:?}{:?}", setup.proxy).contains("secret"));
}

#[tokio::test]
async fn requests_are_counted_by_verb() {
    let setup = Setup::new().await;
    let (mut client, mut server) = setup.connected().await;
    for method in ["PUT", "GET", "PUT"] {
        send(&mut client, &format!("{method} {LEASE} HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n")).await;
        read_until(&mut server, "\r\n\r\n").await;
        send(&mut server, "HTTP/1.1 409 Conflict\r\ncontent-length: 2\r\n\r\nok").await;
        read_until(&mut client, "\r\n\r\nok").await;
    }
    assert_eq!(setup.proxy.counts(), BTreeMap::from([(Verb::Update, 2), (Verb::Get, 1)]));
    assert!(setup.proxy.requests().iter().all(|request| request.status == Some(409)));
}

#[tokio::test]
async fn the_end_of_the_upstream_connection_ends_an_idle_one_and_a_watch() {
    let setup = Setup::new().await;
    let (mut idle, idle_server) = setup.connected().await;
    let (mut watching, mut server) = setup.connected().await;
    start_watch(&mut watching, &mut server).await;
    drop((idle_server, server));
    assert_eq!(rest(&mut idle).await, Bytes::new());
    // Without a last chunk, so that the replica does not mistake it for the watch's regular end.
    let tail = rest(&mut watching).await;
    assert!(!tail.ends_with(b"0\r\n\r\n"), "{tail:?}");
}

#[tokio::test]
async fn the_end_of_the_replicas_connection_ends_the_upstream_watch() {
    let setup = Setup::new().await;
    let (mut client, mut server) = setup.connected().await;
    start_watch(&mut client, &mut server).await;
    drop(client);
    rest(&mut server).await;
}

#[tokio::test]
async fn without_an_upstream_the_connection_ends_without_an_answer() {
    let Setup { authority, proxy, server } = Setup::new().await;
    drop(server);
    let stream = TcpStream::connect(proxy.address).await.unwrap();
    let connecting = authority.connector().unwrap().connect(ServerName::from(proxy.address.ip()), stream).await;
    if let Ok(mut client) = connecting {
        assert_eq!(rest(&mut client).await, Bytes::new());
    }
}
