//! Modes that tamper with single requests and their answers.

use super::*;
use serde_json::{Value, json};

const CHANGED: &str = "Operation cannot be fulfilled on leases.coordination.k8s.io \"mine\": the object has been modified; \
    please apply your changes to the latest version and try again";

struct Answer {
    head: String,
    body: String,
}

impl Answer {
    async fn read(client: &mut TlsStream<TcpStream>) -> Self {
        let head = read_until(client, "\r\n\r\n").await.to_lowercase();
        let length = head.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next()).unwrap();
        let mut body = vec![0; length.parse().unwrap()];
        timeout(BOUND, client.read_exact(&mut body)).await.unwrap().unwrap();
        Self { head, body: String::from_utf8(body).unwrap() }
    }

    fn is(&self, status: &str) -> bool {
        self.head.starts_with(&format!("http/1.1 {status} "))
    }

    fn json(&self) -> Value {
        assert!(self.head.contains("content-type: application/json\r\n"), "{}", self.head);
        serde_json::from_str(&self.body).unwrap()
    }
}

/// Returns the answer to a PUT in a mode. The API server must not see the PUT, and the connection must stay usable.
async fn answer_to_put(mode: impl Into<Mode>, path: &str) -> Answer {
    let setup = Setup::new().await;
    let (mut client, mut server) = setup.connected().await;
    setup.proxy.set_mode(mode);
    ask(&mut client, "PUT", path).await;
    let answer = Answer::read(&mut client).await;
    let requests = setup.proxy.requests();
    assert_eq!(requests[0].effect, Effect::Answered);
    assert!(requests[0].status.is_some_and(|status| answer.is(&status.to_string())), "{requests:?}");

    setup.proxy.set_mode(Mode::Pass);
    ask(&mut client, "PATCH", path).await;
    assert!(serve(&mut server, "200 OK").await.starts_with("PATCH "));
    assert!(Answer::read(&mut client).await.is("200"));
    assert_eq!(setup.proxy.requests()[1].effect, Effect::Passed);
    answer
}

/// Makes a Status, with the fields that are particular to it.
fn status(code: u16, message: &str, particular: Value) -> Value {
    let mut status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "code": code,
    });
    status.as_object_mut().unwrap().extend(particular.as_object().unwrap().clone());
    status
}

#[tokio::test]
async fn a_conflict_is_answered_as_by_the_api_server() {
    let answer = answer_to_put(Action::Conflict, LEASE).await;
    assert!(answer.is("409"), "{}", answer.head);
    let details = json!({"name": "mine", "group": "coordination.k8s.io", "kind": "leases"});
    assert_eq!(answer.json(), status(409, CHANGED, json!({"reason": "Conflict", "details": details})));

    let answer = answer_to_put(Action::Conflict, "/api/v1/namespaces/ns/configmaps/mine?fieldManager=x").await;
    let message = CHANGED.replace("leases.coordination.k8s.io", "configmaps");
    let details = json!({"name": "mine", "kind": "configmaps"});
    assert_eq!(answer.json(), status(409, &message, json!({"reason": "Conflict", "details": details})));
}

#[tokio::test]
async fn overload_is_answered_in_plain_text_with_a_time_to_wait() {
    let answer = answer_to_put(Action::TooManyRequests, LEASE).await;
    assert!(answer.is("429"), "{}", answer.head);
    assert!(answer.head.contains("content-type: text/plain; charset=utf-8\r\n"), "{}", answer.head);
    assert!(answer.head.contains("retry-after: 1\r\n"), "{}", answer.head);
    assert_eq!(answer.body, "Too many requests, please try again later.\n");
}

#[tokio::test]
async fn a_request_is_read_to_its_end_before_it_is_answered() {
    let setup = Setup::new().await;
    let (mut client, _server) = setup.connected().await;
    setup.proxy.set_mode(Action::TooManyRequests);
    for _ in 0..2 {
        send(&mut client, &format!("PUT {LEASE} HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nbo")).await;
        silent(&mut client).await;
        send(&mut client, "dy").await;
        assert!(Answer::read(&mut client).await.is("429"));
    }
}

#[tokio::test]
async fn errors_of_the_server_are_answered_as_by_the_api_server() {
    let answer = answer_to_put(Action::InternalError, LEASE).await;
    assert!(answer.is("500"), "{}", answer.head);
    assert_eq!(answer.json(), status(500, "etcdserver: request timed out", json!({})));

    let answer = answer_to_put(Action::Unavailable, LEASE).await;
    assert!(answer.is("503") && answer.head.contains("retry-after: 1\r\n"), "{}", answer.head);
    assert_eq!(answer.json(), status(503, "apiserver is shutting down", json!({"reason": "ServiceUnavailable"})));

    let answer = answer_to_put(Action::GatewayTimeout, LEASE).await;
    assert!(answer.is("504"), "{}", answer.head);
    let message = "Timeout: request did not complete within the allotted timeout";
    assert_eq!(answer.json(), status(504, message, json!({"reason": "Timeout", "details": {}})));
}

#[tokio::test]
async fn a_fault_is_for_the_requests_in_its_scope_only() {
    let setup = Setup::new().await;
    let (mut client, mut server) = setup.connected().await;
    setup.proxy.set_mode(Fault::new(Action::TooManyRequests).on(Scope::Writes));
    pass(&mut client, &mut server, "GET", LEASE).await;
    pass(&mut client, &mut server, "GET", WATCH).await;
    ask(&mut client, "PUT", LEASE).await;
    assert!(Answer::read(&mut client).await.is("429"));

    setup.proxy.set_mode(Fault::new(Action::TooManyRequests).on(Scope::Watches));
    pass(&mut client, &mut server, "PUT", LEASE).await;
    ask(&mut client, "GET", WATCH).await;
    assert!(Answer::read(&mut client).await.is("429"));

    setup.proxy.set_mode(Fault::new(Action::TooManyRequests).on(Scope::Verbs(&[Verb::Get, Verb::Patch])));
    pass(&mut client, &mut server, "PUT", LEASE).await;
    for method in ["GET", "PATCH"] {
        ask(&mut client, method, LEASE).await;
        assert!(Answer::read(&mut client).await.is("429"));
    }

    setup.proxy.set_mode(Action::TooManyRequests);
    for (method, path) in [("GET", LEASE), ("GET", WATCH), ("PUT", LEASE)] {
        ask(&mut client, method, path).await;
        assert!(Answer::read(&mut client).await.is("429"));
    }

    setup.proxy.set_mode(Action::Conflict);
    pass(&mut client, &mut server, "GET", LEASE).await;
    pass(&mut client, &mut server, "POST", LEASE).await;
}

#[tokio::test]
async fn a_fault_is_for_so_many_requests_over_all_connections_and_counts_anew_when_set_again() {
    let setup = Setup::new().await;
    let (mut one, mut one_server) = setup.connected().await;
    let (mut other, mut other_server) = setup.connected().await;
    for _ in 0..2 {
        setup.proxy.set_mode(Fault::new(Action::Unavailable).on(Scope::Writes).times(2));
        for client in [&mut one, &mut other] {
            ask(client, "PUT", LEASE).await;
            assert!(Answer::read(client).await.is("503"));
        }
        pass(&mut one, &mut one_server, "PUT", LEASE).await;
        pass(&mut other, &mut other_server, "PUT", LEASE).await;
    }
}

#[tokio::test]
async fn a_watch_in_flight_neither_meets_nor_uses_up_what_concerns_answers() {
    let setup = Setup::new().await;
    let (mut watching, mut watched) = setup.connected().await;
    let (mut client, _server) = setup.connected().await;
    start_watch(&mut watching, &mut watched).await;
    setup.proxy.set_mode(Fault::new(Action::Unavailable).times(1));
    tell(&mut watched, "two\n").await;
    read_until(&mut watching, "two\n").await;
    ask(&mut client, "GET", LEASE).await;
    assert!(Answer::read(&mut client).await.is("503"));
}

#[tokio::test]
async fn a_lost_response_ends_the_connection_after_the_write_was_carried_out() {
    let setup = Setup::new().await;
    let (mut client, mut server) = setup.connected().await;
    setup.proxy.set_mode(Action::LostResponse);
    pass(&mut client, &mut server, "GET", LEASE).await;
    ask(&mut client, "PUT", LEASE).await;
    assert!(serve(&mut server, "200 OK").await.contains("PUT "));
    assert_eq!(rest(&mut client).await, Bytes::new());
    rest(&mut server).await;

    let put = &setup.proxy.requests()[1];
    assert_eq!((put.status, put.effect, put.succeeded()), (Some(200), Effect::Lost, true));
}

#[tokio::test]
async fn a_write_delivered_late_reaches_the_server_although_the_client_has_given_up() {
    let setup = Setup::new().await;
    let (mut client, mut server) = setup.connected().await;
    setup.proxy.set_mode(Action::LateDelivery);
    pass(&mut client, &mut server, "GET", LEASE).await;
    ask(&mut client, "PUT", LEASE).await;
    tokio::join!(silent(&mut client), silent(&mut server));
    drop(client);
    rest(&mut server).await;
    timeout(SILENCE, setup.server.accept()).await.expect_err("it was not held back");

    setup.proxy.set_mode(Mode::Pass);
    let mut server = timeout(BOUND, setup.accept()).await.expect("it was not delivered");
    assert!(serve(&mut server, "200 OK").await.starts_with(&format!("PUT {LEASE} ")));
    rest(&mut server).await;
    let put = &setup.proxy.requests()[1];
    assert_eq!((put.status, put.effect), (Some(200), Effect::Late));
}

#[tokio::test]
async fn a_client_that_still_waits_gets_the_late_answer() {
    let setup = Setup::new().await;
    let (mut client, _server) = setup.connected().await;
    setup.proxy.set_mode(Action::LateDelivery);
    ask(&mut client, "PUT", LEASE).await;
    silent(&mut client).await;
    setup.proxy.set_mode(Mode::Pass);
    let mut server = timeout(BOUND, setup.accept()).await.expect("it was not delivered");
    serve(&mut server, "409 Conflict").await;
    let answer = Answer::read(&mut client).await;
    assert!(answer.is("409") && answer.body == "done", "{}", answer.head);
}

#[tokio::test]
async fn what_is_held_back_ends_with_the_proxy() {
    let setup = Setup::new().await;
    let (mut client, _server) = setup.connected().await;
    setup.proxy.set_mode(Action::LateDelivery);
    ask(&mut client, "PUT", LEASE).await;
    silent(&mut client).await;
    let Setup { proxy, server, .. } = setup;
    drop(proxy);
    rest(&mut client).await;
    timeout(SILENCE, server.accept()).await.expect_err("it was delivered");
}
