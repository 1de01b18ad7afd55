use std::net::Ipv6Addr;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::Request;
use tokio::net::TcpStream;
use tower::ServiceExt;

use super::*;
use crate::Term;

async fn ask(path: &str, status: Status) -> (StatusCode, String) {
    ask_of(path, status, None).await
}

async fn ask_of(path: &str, status: Status, locked_out: Option<&'static str>) -> (StatusCode, String) {
    let state = State {
        identity: "pod-0_1".to_owned(),
        status: Arc::new(move || status.clone()),
        locked_out: Arc::new(move || locked_out.map(str::to_owned)),
        metrics: Metrics::new("my-lease"),
    };
    let request = Request::get(path).body(Body::empty()).unwrap();
    let response = router(state).oneshot(request).await.unwrap();
    let code = response.status();
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (code, String::from_utf8(body.to_vec()).unwrap())
}

fn leading(remaining: Duration) -> Status {
    Status {
        ready: true,
        leader: Some("pod-0_1".to_owned()),
        term: Some(Term::new(Some(42), move || remaining)),
        lost: None,
    }
}

fn standing_by() -> Status {
    Status { ready: true, leader: Some("pod-1_2".to_owned()), ..Status::default() }
}

#[tokio::test]
async fn a_standby_is_healthy_and_ready() {
    for path in ["/healthz", "/readyz"] {
        assert_eq!(ask(path, standing_by()).await.0, StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn a_replica_that_never_saw_the_lease_is_healthy_but_not_ready() {
    assert_eq!(ask("/healthz", Status::default()).await.0, StatusCode::OK);
    assert_eq!(ask("/readyz", Status::default()).await.0, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn a_term_that_is_over_but_still_believed_in_is_unhealthy() {
    assert_eq!(ask("/healthz", leading(Duration::from_secs(1))).await.0, StatusCode::OK);
    assert_eq!(ask("/healthz", leading(Duration::ZERO)).await.0, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn a_replica_that_is_locked_out_is_unhealthy_with_the_reason_and_answers_the_rest_as_before() {
    let (code, body) = ask_of("/healthz", standing_by(), Some("401 for long")).await;
    assert_eq!(
        (code, body.as_str()),
        (StatusCode::SERVICE_UNAVAILABLE, "locked out of the API server: 401 for long\n")
    );
    assert_eq!(ask_of("/readyz", standing_by(), Some("401 for long")).await.0, StatusCode::OK);
}

#[tokio::test]
async fn leader_shows_who_leads_and_until_when() {
    let (_, body) = ask("/leader", leading(Duration::from_secs(7))).await;
    assert_eq!(body, r#"{"identity":"pod-0_1","leader":"pod-0_1","leading":true,"epoch":42,"valid_for_s":7.0}"#);

    let (_, body) = ask("/leader", standing_by()).await;
    assert_eq!(body, r#"{"identity":"pod-0_1","leader":"pod-1_2","leading":false,"epoch":null,"valid_for_s":null}"#);
}

#[tokio::test]
async fn leader_does_not_claim_a_term_that_is_over() {
    let (_, body) = ask("/leader", leading(Duration::ZERO)).await;
    assert!(body.contains(r#""leading":false,"epoch":null"#), "{body}");
}

#[tokio::test]
async fn metrics_are_served() {
    let (code, body) = ask("/metrics", leading(Duration::from_secs(7))).await;
    assert_eq!(code, StatusCode::OK);
    assert!(body.ends_with("# EOF\n"), "{body}");
}

/// All addresses, and a port that the kernel chooses.
fn everywhere() -> SocketAddr {
    (Ipv6Addr::UNSPECIFIED, 0).into()
}

async fn is_reached_by(family: impl Into<std::net::IpAddr>, listener: &TcpListener) -> bool {
    TcpStream::connect((family.into(), listener.local_addr().unwrap().port())).await.is_ok()
}

#[tokio::test]
async fn both_families_are_served_where_there_are_both() {
    if std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        eprintln!("this machine has no IPv6");
        return;
    }
    let listener = listen(everywhere(), open).unwrap();
    assert!(listener.local_addr().unwrap().is_ipv6());
    assert!(is_reached_by(Ipv4Addr::LOCALHOST, &listener).await, "an IPv4 kubelet finds nobody");
    assert!(is_reached_by(Ipv6Addr::LOCALHOST, &listener).await, "an IPv6 kubelet finds nobody");
}

/// Opens sockets as a machine without IPv6 does.
fn only_ipv4(address: SocketAddr) -> io::Result<TcpListener> {
    if address.is_ipv6() { Err(Errno::AFNOSUPPORT.into()) } else { open(address) }
}

#[tokio::test]
async fn ipv4_alone_is_served_where_there_is_no_ipv6() {
    let listener = listen(everywhere(), only_ipv4).unwrap();
    assert!(is_reached_by(Ipv4Addr::LOCALHOST, &listener).await);
    // An address of IPv6 by name is never replaced by one of IPv4.
    let error = listen((Ipv6Addr::LOCALHOST, 0).into(), only_ipv4).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(Errno::AFNOSUPPORT.raw_os_error()));
}

#[tokio::test]
async fn an_address_that_is_taken_is_not_replaced_by_another() {
    let first = listen(everywhere(), open).unwrap();
    let error = listen(first.local_addr().unwrap(), open).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
}
