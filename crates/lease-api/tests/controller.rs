//! kube's `Controller` with objects that it owns. It watches them by metadata only.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::api::{Api, DeleteParams, PostParams};
use kube::runtime::Controller;
use kube::runtime::controller::Action;
use kube::runtime::watcher::Config as Watched;
use kube::{Client, Config, Resource, ResourceExt};
use still_leading_lease_api::{Access, Options, Server, User};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;

/// It took milliseconds.
const BOUND: Duration = Duration::from_secs(30);

/// The children, and the channel for each reconcile: it gets the uid of the child that existed or was made.
struct Context {
    maps: Api<ConfigMap>,
    reconciled: UnboundedSender<Option<String>>,
}

async fn reconcile(parent: Arc<ConfigMap>, context: Arc<Context>) -> Result<Action, kube::Error> {
    let (maps, name) = (&context.maps, format!("{}-child", parent.name_any()));
    let child = match maps.get_opt(&name).await? {
        Some(child) => child,
        None => maps.create(&PostParams::default(), &map(&name, "child", parent.controller_owner_ref(&()))).await?,
    };
    let _ = context.reconciled.send(child.uid());
    // Only a change brings the next reconcile.
    Ok(Action::await_change())
}

fn map(name: &str, role: &str, owner: Option<OwnerReference>) -> ConfigMap {
    let metadata = ObjectMeta {
        name: Some(name.to_owned()),
        labels: Some([("role".to_owned(), role.to_owned())].into()),
        owner_references: owner.map(|owner| vec![owner]),
        ..ObjectMeta::default()
    };
    ConfigMap { metadata, ..ConfigMap::default() }
}

async fn next(reconciles: &mut UnboundedReceiver<Option<String>>) -> String {
    let uid = timeout(BOUND, reconciles.recv()).await.expect("a reconcile in time");
    uid.flatten().expect("a child with a uid")
}

#[tokio::test]
async fn a_child_that_is_deleted_by_hand_brings_a_reconcile_of_its_parent() {
    let server = Server::start(Options::default()).await.unwrap();
    server.add_user(User { name: "admin".to_owned(), token: "admin".to_owned(), access: Access::All });
    let mut config = Config::new(server.url().parse().unwrap());
    config.auth_info.token = Some("admin".to_owned().into());
    let maps: Api<ConfigMap> = Api::namespaced(Client::try_from(config).unwrap(), "default");
    maps.create(&PostParams::default(), &map("parent", "parent", None)).await.unwrap();

    let (reconciled, mut reconciles) = unbounded_channel();
    let context = Arc::new(Context { maps: maps.clone(), reconciled });
    let controller = Controller::new(maps.clone(), Watched::default().labels("role=parent"))
        .owns(maps.clone(), Watched::default().labels("role=child"))
        .run(reconcile, |_, _, _| Action::await_change(), context);
    let running = tokio::spawn(controller.for_each(|_| async {}));

    let first = next(&mut reconciles).await;
    // The parent has not changed since, so the child has caused this reconcile. From now on the child is watched.
    assert_eq!(next(&mut reconciles).await, first);
    maps.delete("parent-child", &DeleteParams::default()).await.unwrap();
    // Until the uid is another one.
    while next(&mut reconciles).await == first {}
    running.abort();
}
