use super::*;
use crate::query::Query;
use crate::store::{Key, Limits, State};

fn watching(store: &Store, query: &str) -> Watching {
    let query = Query::of(&format!("/?{query}").parse().unwrap());
    let options = ListOptions::of(&query, Resource::Leases, true).unwrap();
    let now = Instant::now();
    Watching {
        changes: store.changes(),
        store: store.clone(),
        resource: Resource::Leases,
        namespace: Some("default".to_owned()),
        position: revision(&options.resource_version).unwrap(),
        options,
        form: Form::Whole,
        pending: VecDeque::new(),
        headed: false,
        end: now + Duration::from_millis(50),
        bookmark: None,
        ended: false,
    }
}

fn put(state: &mut State, name: &str, holder: &str) -> u64 {
    let object = json!({"metadata": {"name": name, "labels": {"held-by": holder}}, "spec": {"holderIdentity": holder}});
    state.put(&Key::new(Resource::Leases, "default", name), object);
    state.revision()
}

/// Returns all lines until the end, as `TYPE holder revision`.
async fn lines(mut watching: Watching) -> Vec<String> {
    let mut lines = Vec::new();
    while let Some(line) = watching.next().await {
        let line: Value = serde_json::from_slice(&line).unwrap();
        let kind = line["type"].as_str().unwrap();
        lines.push(match line["object"]["code"].as_u64() {
            Some(code) => format!("{kind} {code} {}", line["object"]["message"].as_str().unwrap()),
            None => format!("{kind} {} {}", line["object"]["spec"]["holderIdentity"], version_of(&line["object"])),
        });
    }
    lines
}

#[tokio::test]
async fn a_watch_sends_what_has_happened_since_a_revision_and_what_happens_then() {
    let store = Store::default();
    let from = put(&mut store.lock(), "a", "x");
    put(&mut store.lock(), "a", "y");
    let watching = watching(&store, &format!("resourceVersion={from}"));
    let (told, ()) = tokio::join!(lines(watching), async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        store.lock().remove(&Key::new(Resource::Leases, "default", "a"));
        put(&mut store.lock(), "b", "z");
        store.lock().put(&Key::new(Resource::Leases, "other", "c"), json!({"metadata": {}}));
    });
    let expected = [
        format!("MODIFIED \"y\" {}", from + 1),
        format!("DELETED \"y\" {}", from + 2),
        format!("ADDED \"z\" {}", from + 3),
    ];
    assert_eq!(told, expected);
}

#[tokio::test]
async fn an_object_that_is_selected_no_longer_is_deleted_for_this_watch() {
    let store = Store::default();
    let from = put(&mut store.lock(), "a", "x");
    put(&mut store.lock(), "a", "y");
    put(&mut store.lock(), "a", "x");
    let watching = watching(&store, &format!("resourceVersion={from}&labelSelector=held-by%3Dx"));
    let expected = [format!("DELETED \"x\" {}", from + 1), format!("ADDED \"x\" {}", from + 2)];
    assert_eq!(lines(watching).await, expected);
}

#[tokio::test]
async fn a_watch_from_before_the_ring_ends_with_410() {
    let store = Store::new(Limits { watch_events: 3, ..Limits::default() });
    for holder in ["1", "2", "3", "4"] {
        put(&mut store.lock(), "a", holder);
    }
    let newest = store.lock().revision();
    let old = watching(&store, "resourceVersion=1");
    assert_eq!(lines(old).await, [format!("ERROR 410 too old resource version: 1 ({})", newest - 3)]);
    let young = watching(&store, &format!("resourceVersion={}", newest - 3));
    assert_eq!(lines(young).await.len(), 3);
}

#[tokio::test]
async fn a_watch_whose_client_does_not_read_holds_little_and_reports_what_was_missed() {
    let store = Store::new(Limits { watch_events: 100, ..Limits::default() });
    let from = put(&mut store.lock(), "a", "x");
    let mut watching = watching(&store, &format!("resourceVersion={from}"));
    for _ in 0..80 {
        put(&mut store.lock(), "a", "x");
    }
    assert!(watching.next().await.is_some());
    assert_eq!(watching.pending.len(), BATCH - 1);
    for _ in 0..200 {
        put(&mut store.lock(), "a", "x");
    }
    let told = lines(watching).await;
    assert_eq!(told.len(), BATCH);
    assert!(told[BATCH - 1].starts_with("ERROR 410"), "{told:?}");
}

#[tokio::test]
async fn a_watch_begins_with_what_is_there_and_says_where_that_ends() {
    let store = Store::default();
    put(&mut store.lock(), "a", "x");
    // It is not selected.
    let revision = put(&mut store.lock(), "b", "y");
    let mut watching = watching(&store, "allowWatchBookmarks=true&labelSelector=held-by%3Dx");
    watching.begin();
    let line = watching.next().await.unwrap();
    assert!(line.starts_with(br#"{"type":"ADDED","object":{"kind":"Lease","apiVersion":"coordination.k8s.io/v1""#));
    let line: Value = serde_json::from_slice(&watching.next().await.unwrap()).unwrap();
    let expected = json!({"type": "BOOKMARK", "object": {"kind": "Lease", "apiVersion": "coordination.k8s.io/v1",
        "metadata": {"resourceVersion": revision.to_string(), "annotations": {"k8s.io/initial-events-end": "true"}},
        "spec": {}}});
    assert_eq!(line, expected);
}
