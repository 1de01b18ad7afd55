//! Modes that affect watches.

use super::*;
use serde_json::{Value, json};

const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Starts a watch as far as its headers. No event comes yet.
async fn start_silent_watch(client: &mut TlsStream<TcpStream>, server: &mut Stream) -> String {
    send(client, &format!("GET {WATCH} HTTP/1.1\r\nhost: x\r\n\r\n")).await;
    read_until(server, "\r\n\r\n").await;
    send(server, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
    read_until(client, "\r\n\r\n").await.to_lowercase()
}

#[track_caller]
fn assert_reports_that_it_expired(rest: &[u8]) {
    let rest = String::from_utf8_lossy(rest);
    let event = rest.lines().find(|line| line.starts_with('{')).unwrap_or_else(|| panic!("no event in {rest:?}"));
    assert!(rest.ends_with(&format!("{event}\n\r\n0\r\n\r\n")), "{rest:?}");
    let event: Value = serde_json::from_str(event).unwrap();
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "Expired", "code": 410,
        "message": "The resourceVersion for the provided watch is too old.",
    });
    assert_eq!(event, json!({"type": "ERROR", "object": status}));
}

#[tokio::test]
async fn closed_watches_end_regularly_in_flight_and_new() {
    let setup = Setup::new().await;
    let (mut client, mut server) = setup.connected().await;
    start_watch(&mut client, &mut server).await;
    setup.proxy.set_mode(Action::WatchClosed);
    assert_eq!(rest(&mut client).await, LAST_CHUNK);
    rest(&mut server).await;

    let (mut client, mut server) = setup.connected().await;
    pass(&mut client, &mut server, "PUT", LEASE).await;
    let head = start_silent_watch(&mut client, &mut server).await;
    assert!(head.starts_with("http/1.1 200 ") && head.contains("connection: close\r\n"), "{head}");
    assert_eq!(rest(&mut client).await, LAST_CHUNK);

    let effects: Vec<Effect> = setup.proxy.requests().iter().map(|request| request.effect).collect();
    assert_eq!(effects, [Effect::Lost, Effect::Passed, Effect::Lost]);
}

#[tokio::test]
async fn a_watch_is_closed_after_a_whole_event_only() {
    let setup = Setup::new().await;
    let (mut client, mut server) = setup.connected().await;
    start_watch(&mut client, &mut server).await;
    tell(&mut server, "tw").await;
    read_until(&mut client, "tw\r\n").await;
    setup.proxy.set_mode(Action::WatchClosed);
    silent(&mut client).await;
    tell(&mut server, "o\n").await;
    assert_eq!(rest(&mut client).await, &b"2\r\no\n\r\n0\r\n\r\n"[..]);
}

#[tokio::test]
async fn watches_that_expire_get_an_error_in_flight_and_new() {
    let setup = Setup::new().await;
    let (mut client, mut server) = setup.connected().await;
    start_watch(&mut client, &mut server).await;
    setup.proxy.set_mode(Action::WatchGone);
    assert_reports_that_it_expired(&rest(&mut client).await);
    rest(&mut server).await;

    let (mut client, mut server) = setup.connected().await;
    pass(&mut client, &mut server, "GET", LEASE).await;
    let head = start_silent_watch(&mut client, &mut server).await;
    assert!(head.starts_with("http/1.1 200 "), "{head}");
    assert_reports_that_it_expired(&rest(&mut client).await);
    assert_eq!(setup.proxy.requests()[2].effect, Effect::Lost);
}

#[tokio::test]
async fn a_watch_that_the_api_server_refuses_stays_refused() {
    let setup = Setup::new().await;
    let (mut client, mut server) = setup.connected().await;
    setup.proxy.set_mode(Action::WatchGone);
    ask(&mut client, "GET", WATCH).await;
    serve(&mut server, "403 Forbidden").await;
    assert!(read_until(&mut client, "\r\n\r\ndone").await.starts_with("HTTP/1.1 403 "));
    assert_eq!(setup.proxy.requests()[0].status, Some(403));
}

#[tokio::test]
async fn stalled_watches_neither_send_nor_end_until_the_mode_changes() {
    let setup = Setup::new().await;
    let (mut old, mut old_server) = setup.connected().await;
    start_watch(&mut old, &mut old_server).await;
    setup.proxy.set_mode(Action::WatchStalled);
    let (mut new, mut new_server) = setup.connected().await;
    start_silent_watch(&mut new, &mut new_server).await;
    tell(&mut old_server, "two\n").await;
    tell(&mut new_server, "two\n").await;
    tokio::join!(silent(&mut old), silent(&mut new));
    let (mut client, mut server) = setup.connected().await;
    pass(&mut client, &mut server, "GET", LEASE).await;
    // Not even its end passes.
    drop(new_server);
    silent(&mut new).await;

    setup.proxy.set_mode(Mode::Pass);
    tell(&mut old_server, "three\n").await;
    assert!(read_until(&mut old, "three\n\r\n").await.contains("two\n"));
    read_until(&mut new, "two\n\r\n").await;
    let tail = rest(&mut new).await;
    assert!(!tail.ends_with(LAST_CHUNK), "{tail:?}");
    let effects: Vec<Effect> = setup.proxy.requests().iter().map(|request| request.effect).collect();
    assert_eq!(effects, [Effect::Late, Effect::Late, Effect::Passed]);
}

#[tokio::test]
async fn a_stalled_watch_that_the_client_ends_ends_upstream() {
    let setup = Setup::new().await;
    let (mut client, mut server) = setup.connected().await;
    start_watch(&mut client, &mut server).await;
    setup.proxy.set_mode(Action::WatchStalled);
    silent(&mut client).await;
    drop(client);
    rest(&mut server).await;
}

#[tokio::test]
async fn so_many_watches_are_closed_and_the_others_go_on() {
    let setup = Setup::new().await;
    let (mut one, mut one_server) = setup.connected().await;
    let (mut other, mut other_server) = setup.connected().await;
    start_watch(&mut one, &mut one_server).await;
    start_watch(&mut other, &mut other_server).await;
    setup.proxy.set_mode(Fault::new(Action::WatchClosed).times(1));
    let (client, server) = tokio::select! {
        tail = rest(&mut one) => { assert_eq!(tail, LAST_CHUNK); (&mut other, &mut other_server) }
        tail = rest(&mut other) => { assert_eq!(tail, LAST_CHUNK); (&mut one, &mut one_server) }
    };
    silent(client).await;
    tell(server, "two\n").await;
    read_until(client, "two\n").await;
}

#[tokio::test]
async fn what_is_for_watches_leaves_everything_else_alone_whatever_its_scope() {
    let setup = Setup::new().await;
    let (mut client, mut server) = setup.connected().await;
    setup.proxy.set_mode(Fault::new(Action::WatchClosed).on(Scope::All).times(1));
    pass(&mut client, &mut server, "PUT", LEASE).await;
    start_silent_watch(&mut client, &mut server).await;
    assert_eq!(rest(&mut client).await, LAST_CHUNK);
}
