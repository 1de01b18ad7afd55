//! What the account of an overlay may do, as the real API server itself lists it.

use std::fs;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::authorization::v1::{SelfSubjectRulesReview, SelfSubjectRulesReviewSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::Role;
use kube::api::{Api, PostParams};
use kube::core::ObjectMeta;
use still_leading_testbed::{ApiServer, ServerKind, manifests};

use crate::lists::PREFIX;
use crate::objects::Objects;
use crate::overlay::Overlay;
use crate::permissions::{Permissions, compare, granted, listed};
use crate::world::World;

/// Has what every account has, and nothing else.
const STRANGER: &str = "stranger";

pub async fn are_those_of_its_role_and_no_others(world: &World, overlay: Overlay) -> Result<()> {
    let role: Role = Objects::shipped(overlay)?.one()?;
    let (account, namespace) = (format!("{PREFIX}{overlay}"), format!("{PREFIX}{overlay}-rights"));
    let server = world.server(ServerKind::Real).await?;
    let objects = manifests::parse(&fs::read_to_string(overlay.install_yaml())?)?;
    server.install(&objects, &namespace, &account).await?;
    let metadata = ObjectMeta { name: Some(STRANGER.to_owned()), ..ObjectMeta::default() };
    let stranger = ServiceAccount { metadata, ..ServiceAccount::default() };
    Api::namespaced(server.client()?, &namespace).create(&PostParams::default(), &stranger).await?;

    let everybodys = rights(server, &namespace, STRANGER).await?;
    let own = rights(server, &namespace, &account).await?.difference(&everybodys).cloned().collect();
    let granted = granted(&role.rules.unwrap_or_default());
    compare(("its account may", &own), ("its Role says", &granted)).into_result()
}

async fn rights(server: &ApiServer, namespace: &str, account: &str) -> Result<Permissions> {
    let client = server.client_with_token(&server.token(namespace, account).await?)?;
    let spec = SelfSubjectRulesReviewSpec { namespace: Some(namespace.to_owned()) };
    let review = SelfSubjectRulesReview { spec, ..SelfSubjectRulesReview::default() };
    let answer = Api::all(client).create(&PostParams::default(), &review).await?;
    let status = answer.status.context("a review without a status")?;
    ensure!(!status.incomplete, "the list of rights is incomplete: {:?}", status.evaluation_error);
    Ok(listed(&status))
}
