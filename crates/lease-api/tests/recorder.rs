//! kube's `Recorder`, with which controllers report their elections.

use k8s_openapi::api::core::v1::{Event as CoreEvent, ObjectReference};
use k8s_openapi::api::events::v1::Event as K8sEvent;
use kube::api::{Api, ListParams};
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Client, Config};
use still_leading_lease_api::{Access, Options, PolicyRule, Server, User};

fn client(server: &Server, token: &str) -> Client {
    let mut config = Config::new(server.url().parse().expect("an address"));
    config.auth_info.token = Some(token.to_owned().into());
    Client::try_from(config).expect("a client")
}

#[tokio::test]
async fn an_event_that_happens_twice_is_a_series_in_both_groups() {
    let server = Server::start(Options::default()).await.unwrap();
    let strings = |list: &[&str]| list.iter().map(|one| (*one).to_owned()).collect();
    let rule = PolicyRule {
        api_groups: strings(&["events.k8s.io"]),
        resources: strings(&["events"]),
        resource_names: Vec::new(),
        verbs: strings(&["create", "patch"]),
    };
    let access = Access::Only { namespace: "default".to_owned(), rules: vec![rule] };
    server.add_user(User { name: "leader".to_owned(), token: "leader".to_owned(), access });
    server.add_user(User { name: "admin".to_owned(), token: "admin".to_owned(), access: Access::All });

    let reporter = Reporter { controller: "still-leading-controller".to_owned(), instance: Some("pod-0".to_owned()) };
    let recorder = Recorder::new(client(&server, "leader"), reporter);
    let lease = ObjectReference {
        api_version: Some("coordination.k8s.io/v1".to_owned()),
        kind: Some("Lease".to_owned()),
        name: Some("app".to_owned()),
        namespace: Some("default".to_owned()),
        ..ObjectReference::default()
    };
    let event = Event {
        type_: EventType::Normal,
        reason: "LeaderElection".to_owned(),
        note: Some("pod-0 became leader".to_owned()),
        action: "LeaderElection".to_owned(),
        secondary: None,
    };
    recorder.publish(&event, &lease).await.unwrap();
    recorder.publish(&event, &lease).await.unwrap();

    let admin = client(&server, "admin");
    let of_lease = |field: &str| ListParams::default().fields(&format!("{field}.kind=Lease,{field}.name=app"));
    let new: Api<K8sEvent> = Api::default_namespaced(admin.clone());
    let new = new.list(&of_lease("regarding")).await.unwrap().items;
    let [new] = &new[..] else { panic!("one event, not {new:?}") };
    assert_eq!(new.series.as_ref().map(|series| series.count), Some(2));
    assert_eq!(new.note.as_deref(), Some("pod-0 became leader"));
    let old: Api<CoreEvent> = Api::default_namespaced(admin);
    let old = old.list(&of_lease("involvedObject")).await.unwrap().items;
    let [old] = &old[..] else { panic!("one event, not {old:?}") };
    assert_eq!(old.series.as_ref().and_then(|series| series.count), Some(2));
    assert_eq!(old.message.as_deref(), Some("pod-0 became leader"));
    assert_eq!(old.reporting_component.as_deref(), Some("still-leading-controller"));
    assert_eq!(old.metadata.uid, new.metadata.uid);
}
