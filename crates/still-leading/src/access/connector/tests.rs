use std::net::Ipv4Addr;

use rustix::net::{AddressFamily, SocketType, bind, getsockname, listen, socket};
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout};

use super::*;

/// Many times what a connection takes on this machine, and much less than the kernel tries for.
const BOUND: Duration = Duration::from_secs(20);

/// An address that drops packets: nobody accepts, and its queue is full.
struct BlackHole {
    address: SocketAddr,
    _socket: rustix::fd::OwnedFd,
    _waiting: Vec<tokio::task::JoinHandle<io::Result<TcpStream>>>,
}

impl BlackHole {
    async fn dig() -> Self {
        let hole = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        bind(&hole, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        listen(&hole, 0).unwrap();
        let address = SocketAddr::try_from(getsockname(&hole).unwrap()).unwrap();
        // The kernel answers the first one or two.
        let waiting = (0..3).map(|_| tokio::spawn(TcpStream::connect(address))).collect();
        sleep(Duration::from_millis(200)).await;
        Self { address, _socket: hole, _waiting: waiting }
    }
}

fn to(addresses: Vec<SocketAddr>) -> Connector {
    Connector::new(move |_, _| {
        let addresses = addresses.clone();
        Box::pin(async move { Ok(addresses) })
    })
}

async fn peer(connector: &Connector) -> SocketAddr {
    let stream = timeout(BOUND, connector.clone().connect("https://api.test".parse().unwrap()));
    stream.await.expect("it hangs").unwrap().inner().peer_addr().unwrap()
}

#[tokio::test]
async fn an_address_that_drops_packets_does_not_hold_up_the_one_after_it() {
    let (hole, live) = (BlackHole::dig().await, TcpListener::bind("127.0.0.1:0").await.unwrap());
    let live = live.local_addr().map(|address| (address, live)).unwrap();
    let alone = timeout(Duration::from_secs(2), TcpStream::connect(hole.address)).await;
    assert!(alone.is_err(), "the black hole answers: {alone:?}");
    assert_eq!(peer(&to(vec![hole.address, live.0])).await, live.0);
}

#[tokio::test]
async fn an_address_that_refuses_costs_no_head_start() {
    let refuses = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let live = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = live.local_addr().unwrap();
    let begin = Instant::now();
    for _ in 0..20 {
        assert_eq!(peer(&to(vec![refuses, address])).await, address);
    }
    assert!(begin.elapsed() < HEAD_START * 20, "{:?}", begin.elapsed());
    let error = to(vec![refuses, refuses]).connect("https://api.test".parse().unwrap()).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    assert!(to(Vec::new()).connect("https://api.test".parse().unwrap()).await.is_err());
}

#[tokio::test]
async fn an_address_that_let_an_attempt_down_is_tried_last() {
    let (a, b) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let (a, b) = (a.local_addr().map(|it| (it, a)).unwrap(), b.local_addr().map(|it| (it, b)).unwrap());
    let connector = to(vec![a.0, b.0]);
    assert_eq!(peer(&connector).await, a.0);
    connector.suspect_last();
    assert_eq!(peer(&connector).await, b.0);
    connector.suspect_last();
    assert_eq!(peer(&connector).await, a.0, "the older suspicion comes first");
}
