//! The policy of deploy/components/fencing goes with the fleet that it was made for.

use k8s_openapi::api::admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding};
use kube::Client;
use kube::api::{Api, DeleteParams};
use still_leading_testbed::api_server::Fence;

/// Takes it away, so that the API server does not check the writes of later trials by all earlier policies.
pub(super) async fn remove(client: &Client, fence: &Fence) {
    let params = DeleteParams::default();
    let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(client.clone());
    let policies: Api<ValidatingAdmissionPolicy> = Api::all(client.clone());
    bindings.delete(&fence.binding, &params).await.ok();
    policies.delete(&fence.policy, &params).await.ok();
}
