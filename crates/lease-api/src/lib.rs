#![doc = include_str!("../README.md")]
//!
//! # What is served
//!
//! `leases` of `coordination.k8s.io/v1`, and in the same store `configmaps`, `events` and `namespaces` of `v1`: create,
//! get, list with selectors and pages, update, patch in its four kinds with field ownership, delete with preconditions,
//! deletecollection, and watch with bookmarks and 410; tables, which show the holder in `kubectl get leases -w`;
//! discovery; `selfsubjectaccessreviews`; bearer tokens and the rules of Roles. The texts and details of errors are those
//! of kube-apiserver.
//!
//! # What is different, and why
//!
//! - **No protobuf.** A body of it is answered with 415, and who asks for it or JSON gets JSON. The typed clients of
//!   client-go send protobuf unless their `ContentType` is set to JSON; so do `kubectl create configmap` and
//!   `create namespace`, but not `kubectl create -f`.
//! - **One ring of events** for all resources, as long as [`Limits`] says. A watch or an exact list from before it ends
//!   with 410; on a cluster that takes minutes. A watch that falls out of it while its client does not read is told 410,
//!   where kube-apiserver only ends it.
//! - **A full store** answers 403, as a cluster does whose quota is used up. Events do not expire.
//! - **A namespace is gone at once**, with all that is in it; the real one waits in `Terminating` for controllers. It is
//!   shown as `Terminating` in the answer.
//! - **No garbage collector**: a propagation policy changes nothing. Finalizers are waited for.
//! - **Authorization is a list**: a [`User`] may do everything, or what some rules say in one namespace. There are no
//!   groups, no roles to be created, and no admission but that of namespaces.
//! - `/version` says `v1.37.1+lease-api`, and the OpenAPI document has no schemas.
//! - In texts: JSON and YAML that cannot be parsed is told in the words of other parsers; in a patch, unknown fields are
//!   told in the order of the alphabet, and a field that comes twice is not noticed; the errors of fields in maps are in
//!   order, where Go shuffles them. A JSON patch of the whole document (path `""`) is taken as the RFC has it.
//! - YAML may be sent, but is not sent back. There is only HTTP/1.1.

mod answer;
mod auth;
mod body;
mod decode;
mod discovery;
mod go;
mod invalid;
mod names;
mod ownership;
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
pub use server::{Options, Server};
pub use store::{Limits, Store};
