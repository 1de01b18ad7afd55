//! Several clients at once: exactly one wins. No golden answer can have which one.

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use serde_json::{Value, json};

use crate::exchange::Session;
use crate::fixture::Fixture;
use crate::scenario::{Body, Request};
use crate::server::Server;

const CLIENTS: usize = 16;

/// Sends the same request from many clients. Returns their answers, each with its status.
async fn all_at_once(fixture: &Fixture, request: impl Fn(usize) -> Request) -> Result<Vec<(u64, Value)>> {
    let ask = |client: usize| {
        let request = request(client);
        async move {
            let mut answer = Session::new(fixture).request(&request).await?;
            Ok::<_, anyhow::Error>((answer["status"].as_u64().context("no status")?, answer["body"].take()))
        }
    };
    try_join_all((0..CLIENTS).map(ask)).await
}

fn request(method: &str, path: &str, content_type: &str, body: Value) -> Request {
    let headers = [("Content-Type".to_owned(), format!("application/{content_type}"))].into();
    let (method, path, user) = (method.to_owned(), path.to_owned(), "admin".to_owned());
    let body = Some(Body::Json { value: body, change: None });
    Request { method, path, user, headers, body, save: None, watch: None, only: None }
}

/// A Lease with another holder in each round. A write that changes nothing succeeds, so it would not compete.
fn lease(round: &str, client: usize, version: Option<&str>) -> Value {
    let spec = json!({"holderIdentity": format!("{round}-{client}")});
    json!({"metadata": {"name": "a", "resourceVersion": version}, "spec": spec})
}

/// Returns the one answer with the winning status. All others must have the losing one.
fn only_one(answers: &[(u64, Value)], wins: u64, loses: u64) -> Result<&Value> {
    let statuses: Vec<u64> = answers.iter().map(|(status, _)| *status).collect();
    let winners: Vec<&Value> = answers.iter().filter(|(status, _)| *status == wins).map(|(_, body)| body).collect();
    let losers = statuses.iter().filter(|status| **status == loses).count();
    ensure!(winners.len() == 1 && losers == CLIENTS - 1, "{statuses:?}");
    Ok(winners[0])
}

fn version(lease: &Value) -> Result<&str> {
    lease["metadata"]["resourceVersion"].as_str().context("a Lease without a version")
}

/// Creates, compare-and-swaps and forced applies with a version: of each, one wins. Patches without a version: all win, and
/// each makes its own version.
pub async fn one_wins(server: &Server) -> Result<()> {
    let fixture = server.fixture(&Default::default(), false).await?;
    let created =
        all_at_once(&fixture, |client| request("POST", "leases", "json", lease("post", client, None))).await?;
    let created = version(only_one(&created, 201, 409).context("POST")?)?.to_owned();

    let put = |client| request("PUT", "leases/a", "json", lease("put", client, Some(&created)));
    let put = all_at_once(&fixture, put).await?;
    let put = version(only_one(&put, 200, 409).context("PUT")?)?.to_owned();

    let apply = |client| {
        let mut body = lease("apply", client, Some(&put));
        body["apiVersion"] = "coordination.k8s.io/v1".into();
        body["kind"] = "Lease".into();
        request("PATCH", &format!("leases/a?force=true&fieldManager=m{client}"), "apply-patch+yaml", body)
    };
    let applied = all_at_once(&fixture, apply).await?;
    only_one(&applied, 200, 409).context("a forced apply")?;

    let patch = |client: usize| {
        let spec = json!({"spec": {"holderIdentity": format!("patched-{client}")}});
        request("PATCH", "leases/a", "merge-patch+json", spec)
    };
    let patched = all_at_once(&fixture, patch).await?;
    ensure!(patched.iter().all(|(status, _)| *status == 200), "a patch without a version was refused");
    let mut versions = patched.iter().map(|(_, body)| version(body)).collect::<Result<Vec<_>>>()?;
    versions.sort_unstable();
    versions.dedup();
    ensure!(versions.len() == CLIENTS, "two patches made the same version");
    Ok(())
}
