#![doc = include_str!("../README.md")]
//!
//! # What is served
//!
//! `leases` of `coordination.k8s.io/v1`, `events` of `events.k8s.io/v1`, and `configmaps`, `events` and `namespaces` of `v1`.
//! Both groups show the same Events. There is:
//!
//! - create, get, list with selectors, update, delete with preconditions, and watch with bookmarks and 410;
//! - JSON patches, merge patches, strategic merge patches, and server-side apply with field ownership;
//! - tables, which show the holder in `kubectl get leases -w`, metadata alone, as kube's `Controller` watches what it owns,
//!   and discovery;
//! - bearer tokens and the rules of Roles;
//! - a [`Fence`]: the one rule of admission that keeps a former leader from writing.
//!
//! The texts and details of errors are those of kube-apiserver 1.37.1. The crate was compared with it exchange by exchange.
//! Where the two differ and this page does not say so, that is a bug here.
//!
//! # What is different, and why
//!
//! - **Answers are JSON.** Bodies are JSON or protobuf, as `kubectl create configmap` sends it; YAML is answered with 415. A
//!   client that accepts JSON among others gets JSON, and client-go does even when it sends protobuf. Clients send JSON to
//!   apply, too.
//! - **No deletecollection, no SelfSubjectAccessReviews.** The answers are 405 and 404.
//! - **No copies in a JSON patch**: they are refused with 422, since copies of copies grow without bound.
//! - **Lists are whole and of the present.** A `limit` changes nothing, as the API allows, and an exact list of the past is
//!   answered with 410.
//! - **One ring of events** for all resources, as long as [`Limits`] says. A watch from before it ends with 410; on a
//!   cluster that takes minutes. A watch that falls out of it while its client does not read ends with 410 too, where
//!   kube-apiserver only ends it.
//! - **A full store** answers 403, as a cluster does whose quota is used up. Events do not expire.
//! - **A namespace is gone at once**, with all that is in it; the real one waits in `Terminating` for controllers. The
//!   answer shows it as `Terminating`.
//! - **No garbage collector**: a propagation policy changes nothing. Finalizers are waited for.
//! - **Authorization is a list**: a [`User`] may do everything, or what some rules say in one namespace. There are no
//!   groups, no roles to be created, and no admission but that of namespaces and of a [`Fence`]. A real policy takes up to
//!   two seconds to come into force, a fence is there at once.
//! - **Many managers** of one object all keep their entries; kube-apiserver merges the oldest of more than ten.
//! - `/version` says `v1.37.1+lease-api`, and the OpenAPI document has no schemas.
//! - In texts: the parser's words for what is not JSON are others. Of several mistakes in one body another may be reported,
//!   unknown fields are in the order of the alphabet, and a field that comes twice is not noticed. The errors of fields in
//!   maps are in order, where Go shuffles them. A wrong `timeout` parameter is not noticed.
//! - There is only HTTP/1.1.

mod answer;
mod auth;
mod body;
mod convert;
mod decode;
mod discovery;
mod fence;
mod go;
mod invalid;
mod names;
mod ownership;
mod protobuf;
mod query;
mod read;
mod resource;
mod route;
mod schema;
mod select;
mod serve;
mod server;
mod show;
mod status;
mod store;
mod table;
mod time;
mod validate;
mod watch;
mod write;

pub use auth::{Access, PolicyRule, User};
pub use fence::Fence;
pub use server::{Options, Server};
pub use store::{Limits, Store};
