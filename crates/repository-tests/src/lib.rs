//! Tests of the deployment kit and of the repository's own consistency. They stand in `tests/`:
//!
//! - `kit` checks the manifests, skaffold.yaml and the lists of variants against each other and against a real API server.
//! - `copied` copies the folder of each variant out of the repository, and builds and tests it there.
//! - `own_repository`, `controller` and `older_kube` do what pages of `docs/` say.
//! - `sentences` and `words` check how documents and comments are written.
//!
//! The library is what they share: how to read such a page, to do what it says, and to run what it leads to.

pub mod diff;
pub mod files;
pub mod follow;
pub mod page;
pub mod replica;
