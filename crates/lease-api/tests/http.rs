//! The server over HTTP. The conformance cases show that the answers are kube-apiserver's. These tests need several exchanges,
//! or a server that stops.

mod client;

use std::time::Duration;

use serde_json::{Value, json};
use still_leading_lease_api::{Access, Limits, Options, PolicyRule, Server, Store, User};
use tokio::time::timeout;

use client::{Client, LEASES, lease};

const BOUND: Duration = Duration::from_secs(10);

async fn server(store: &Store) -> Server {
    let server = Server::start(Options { store: store.clone(), ..Options::default() }).await.expect("it cannot listen");
    let admin = User { name: "admin".to_owned(), token: "admin".to_owned(), access: Access::All };
    server.add_user(admin);
    server
}

/// Starts a server, and returns it with its administrator's client.
async fn start() -> (Server, Client) {
    let server = server(&Store::default()).await;
    let client = Client::new(server.address(), "admin");
    (server, client)
}

fn rule(names: &[&str], verbs: &[&str]) -> PolicyRule {
    serde_json::from_value(json!({"apiGroups": ["coordination.k8s.io"], "resources": ["leases"],
        "resourceNames": names, "verbs": verbs}))
    .expect("a rule")
}

fn limited(rules: Vec<PolicyRule>) -> User {
    let access = Access::Only { namespace: "default".to_owned(), rules };
    User { name: "limited".to_owned(), token: "limited".to_owned(), access }
}

#[tokio::test]
async fn a_write_that_lost_the_race_gets_a_conflict() {
    let (_server, client) = start().await;
    let (code, created) = client.post(LEASES, &lease("a", "x")).await;
    assert_eq!((code, created["spec"]["holderIdentity"].as_str()), (201, Some("x")));
    let mut ours = created.clone();
    ours["spec"]["holderIdentity"] = "y".into();
    let path = format!("{LEASES}/a");
    let (code, updated) = client.put(&path, &ours).await;
    assert_eq!(code, 200);
    assert_ne!(updated["metadata"]["resourceVersion"], created["metadata"]["resourceVersion"]);
    let (code, status) = client.put(&path, &created).await;
    let told = "Operation cannot be fulfilled on leases.coordination.k8s.io \"a\": the object has been modified; please \
                apply your changes to the latest version and try again";
    assert_eq!((code, status["reason"].as_str(), status["message"].as_str()), (409, Some("Conflict"), Some(told)));
}

#[tokio::test]
async fn a_write_that_changes_nothing_makes_no_event() {
    let (_server, client) = start().await;
    let (_, created) = client.post(LEASES, &lease("a", "x")).await;
    let path = format!("{LEASES}/a");
    let (_, same) = client.put(&path, &created).await;
    assert_eq!(same, created);
    let (_, same) = client.patch(&path, "merge-patch+json", &json!({"spec": {"holderIdentity": "x"}})).await;
    assert_eq!(same, created);
    let dry = format!("{path}?dryRun=All");
    let (_, other) = client.patch(&dry, "merge-patch+json", &json!({"spec": {"holderIdentity": "y"}})).await;
    assert_eq!(other["spec"]["holderIdentity"], "y");
    assert_eq!(client.get(&path).await.1, created);
}

#[tokio::test]
async fn a_client_without_a_token_is_anonymous_and_a_wrong_token_is_refused() {
    let (server, _) = start().await;
    let (code, status) = Client::new(server.address(), "").get(LEASES).await;
    let told = "leases.coordination.k8s.io is forbidden: User \"system:anonymous\" cannot list resource \"leases\" in \
                API group \"coordination.k8s.io\" in the namespace \"default\"";
    assert_eq!((code, status["message"].as_str()), (403, Some(told)));
    assert_eq!(status["details"], json!({"group": "coordination.k8s.io", "kind": "leases"}));
    let (code, status) = Client::new(server.address(), "wrong").get(LEASES).await;
    let expected = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "Unauthorized", "reason": "Unauthorized", "code": 401});
    assert_eq!((code, status), (401, expected));
}

#[tokio::test]
async fn a_role_allows_what_it_says_and_no_more() {
    let (server, admin) = start().await;
    let verbs = ["get", "list", "watch", "update", "patch"];
    server.add_user(limited(vec![rule(&["a"], &verbs)]));
    let client = Client::new(server.address(), "limited");
    let (a, b) = (format!("{LEASES}/a"), format!("{LEASES}/b"));
    // Without `create`, neither a PUT nor an apply may create.
    let (code, status) = client.put(&a, &lease("a", "x")).await;
    let told = "leases.coordination.k8s.io \"a\" is forbidden: User \"limited\" cannot create resource \"leases\" in API \
                group \"coordination.k8s.io\" in the namespace \"default\"";
    assert_eq!((code, status["message"].as_str()), (403, Some(told)));
    let apply = format!("{a}?fieldManager=m");
    assert_eq!(client.patch(&apply, "apply-patch+yaml", &lease("a", "x")).await.0, 403);
    admin.post(LEASES, &lease("a", "x")).await;
    assert_eq!(client.get(&a).await.0, 200);
    assert_eq!(client.get(&b).await.0, 403);
    assert_eq!(client.get(LEASES).await.0, 403);
    assert_eq!(client.get(&format!("{LEASES}?fieldSelector=metadata.name%3Da")).await.0, 200);
    assert_eq!(client.delete(&a).await.0, 403);
    server.add_user(limited(vec![rule(&["b"], &["update"]), rule(&[], &["create"])]));
    assert_eq!(client.put(&b, &lease("b", "x")).await.0, 201);
}

#[tokio::test]
async fn a_stopped_server_cuts_its_watches_and_leaves_its_port_and_store_to_the_next() {
    let store = Store::default();
    let first = server(&store).await;
    let client = Client::new(first.address(), "admin");
    let (_, created) = client.post(LEASES, &lease("a", "x")).await;
    let mut watch = client.watch(&format!("{LEASES}?watch=1")).await;
    assert_eq!(watch.next().await.unwrap()["type"], "ADDED");
    let address = first.address();
    timeout(BOUND, first.stop()).await.expect("it did not stop");
    let cut = timeout(BOUND, watch.next()).await.expect("the watch was not cut");
    assert_eq!(cut, None);
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
    let second = Server::start(Options { listen: address, store, ..Options::default() }).await.unwrap();
    // Users are in the store, too.
    assert_eq!(client.get(&format!("{LEASES}/a")).await, (200, created));
    drop(second);
    timeout(BOUND, async { while tokio::net::TcpStream::connect(address).await.is_ok() {} })
        .await
        .expect("still there");
}

#[tokio::test]
async fn what_is_stored_is_bounded() {
    let limits = Limits { watch_events: 10, object_bytes: 10_000, objects: 6 };
    let server = server(&Store::new(limits)).await;
    let client = Client::new(server.address(), "admin");
    let large = |bytes: usize| json!({"metadata": {"name": "large"}, "data": {"a": "x".repeat(bytes)}});
    let maps = "/api/v1/namespaces/default/configmaps";
    let (code, status) = client.post(maps, &large(20_000)).await;
    assert_eq!((code, status["reason"].as_str()), (413, Some("RequestEntityTooLarge")));
    assert_eq!(status["message"], "Request entity too large: limit is 20000");
    let (code, status) = client.post(maps, &large(10_000)).await;
    assert_eq!((code, status["message"].as_str()), (500, Some("etcdserver: request is too large")));
    assert_eq!(client.post(LEASES, &lease("a", "x")).await.0, 201);
    assert_eq!(client.post(LEASES, &lease("b", "x")).await.0, 201);
    let (code, status) = client.post(LEASES, &lease("c", "x")).await;
    let told = "leases.coordination.k8s.io \"c\" is forbidden: exceeded quota: lease-api, requested: \
                count/leases.coordination.k8s.io=1, used: count/leases.coordination.k8s.io=6, limited: \
                count/leases.coordination.k8s.io=6";
    assert_eq!((code, status["message"].as_str()), (403, Some(told)));
}

#[tokio::test]
async fn a_namespace_goes_with_what_is_in_it() {
    let (_server, client) = start().await;
    let there = "/apis/coordination.k8s.io/v1/namespaces/there/leases";
    let (code, status) = client.post(there, &lease("a", "x")).await;
    assert_eq!((code, status["message"].as_str()), (404, Some("namespaces \"there\" not found")));
    assert_eq!(client.post("/api/v1/namespaces", &json!({"metadata": {"name": "there"}})).await.0, 201);
    assert_eq!(client.post(there, &lease("a", "x")).await.0, 201);
    let (code, gone) = client.delete("/api/v1/namespaces/there").await;
    assert_eq!((code, gone["status"]["phase"].as_str()), (200, Some("Terminating")));
    assert_eq!(client.get(&format!("{there}/a")).await.0, 404);
    assert_eq!(client.get("/api/v1/namespaces/there").await.0, 404);
}

#[tokio::test]
async fn a_revision_from_the_future_is_waited_for() {
    let (_server, client) = start().await;
    let (_, created) = client.post(LEASES, &lease("a", "x")).await;
    let revision: u64 = created["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
    let path = format!("{LEASES}/a");
    let future = format!("{path}?resourceVersion={}", revision + 1);
    let write = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        client.patch(&path, "merge-patch+json", &json!({"spec": {"holderIdentity": "y"}})).await
    };
    let ((code, read), (_, written)) = tokio::join!(client.get(&future), write);
    assert_eq!((code, read), (200, written));
    let (code, status) = client.get(&format!("{path}?resourceVersion={}", revision + 100)).await;
    assert_eq!((code, &status["details"]["causes"][0]["reason"]), (504, &Value::from("ResourceVersionTooLarge")));
}

#[tokio::test]
async fn nothing_that_a_client_sends_ends_the_server() {
    let (_server, client) = start().await;
    client.post(LEASES, &lease("a", "x")).await;
    let path = format!("{LEASES}/a?fieldManager=m");
    let deep = "[".repeat(100_000);
    let nested = format!("{}1{}", "{\"a\":".repeat(100), "}".repeat(100));
    let fields = format!(
        "{{\"metadata\":{{\"managedFields\":[{{\"operation\":\"Update\",\"apiVersion\":\"coordination.k8s.io/v1\",\
        \"fieldsType\":\"FieldsV1\",\"fieldsV1\":{nested}}}]}}}}"
    );
    let bodies = [
        "",
        "{",
        "null",
        "[]",
        "5",
        "\"\\ud800\"",
        "\u{0}",
        "{\"metadata\":null}",
        "{\"metadata\":[]}",
        "{\"spec\":{\"\":1}}",
        "[{\"op\":\"remove\",\"path\":\"\"}]",
        "[{\"op\":\"move\",\"from\":\"/metadata\",\"path\":\"/metadata/x\"}]",
        "[{\"op\":\"add\",\"path\":\"/metadata/managedFields/0/fieldsV1/~0\",\"value\":1}]",
        "a: &a [*a]",
        "- - -",
        "{\"metadata\":{\"finalizers\":[null]}}",
        "{\"metadata\":{\"ownerReferences\":[{}]}}",
        &deep,
        &nested,
        &fields,
    ];
    for body in bodies {
        for kind in
            ["json", "yaml", "json-patch+json", "merge-patch+json", "strategic-merge-patch+json", "apply-patch+yaml"]
        {
            for method in ["POST", "PUT", "PATCH", "DELETE"] {
                let dry = format!("{path}&dryRun=All");
                let answer = timeout(BOUND, client.send(method, &dry, kind, body.as_bytes().to_vec())).await;
                assert!(answer.is_ok(), "no answer to {method} {kind} {body:.40}");
            }
        }
    }
    for query in [
        "%",
        "%ff",
        "limit=99999999999999999999",
        "continue=%00",
        "labelSelector=%21%21",
        "fieldSelector=%5C",
        "resourceVersion=18446744073709551616",
        "watch=1&timeoutSeconds=-1&resourceVersion=abc",
    ] {
        client.get(&format!("{LEASES}?{query}")).await;
    }
    // The server still answers, after any effect of the first request.
    assert_eq!(client.post(LEASES, &lease("b", "x")).await.0, 201);
}
