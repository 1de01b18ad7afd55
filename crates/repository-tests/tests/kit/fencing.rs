//! The component fencing: whose writes its policy is about, and what the real API server then refuses. And the rule for those
//! who own a resource definition, as `docs/fencing.md` gives it.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding};
use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{GroupVersionKind, Status};
use serde_json::{Value, json};
use still_leading_repository_tests::page::{self, Block};
use still_leading_testbed::guard::TempDir;
use still_leading_testbed::{ApiServer, ServerKind};
use tokio::time::{Instant, sleep};

use crate::findings::Findings;
use crate::objects::Objects;
use crate::overlay::Overlay;
use crate::rendered::render_changed;
use crate::server::LONG;
use crate::world::World;

/// Both belong to no namespace.
pub const KINDS: [&str; 2] = ["ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"];

const GUARDED: &str = "still-leading.dev/guarded";
const EPOCH: &str = "still-leading.dev/epoch";
const NO_EPOCH: &str = "a leader must write its epoch (annotation still-leading.dev/epoch)";
const KEEPS_ITS_LABEL: &str = "a guarded object keeps its label (still-leading.dev/guarded)";
const FENCED: &str = "fenced: epoch 1500 is over, 1600 has written since";

const PAGE: &str = "fencing.md";
/// How often to check whether something is in force, since there is no event for it.
const PERIOD: Duration = Duration::from_millis(50);

/// The policy is about the writes of the account that the pods run as, and the binding about its namespace.
pub fn look(objects: &Objects, findings: &mut Findings) -> Result<()> {
    let policy = objects.optional::<ValidatingAdmissionPolicy>()?;
    let binding = objects.optional::<ValidatingAdmissionPolicyBinding>()?;
    let (Some(policy), Some(binding)) = (policy, binding) else { return Ok(()) };
    let (account, namespace) = account(objects)?;
    let name = Some(format!("{account}.{namespace}"));
    findings.equal("the name of the policy", &policy.metadata.name, &name);
    findings.equal("the name of the binding", &binding.metadata.name, &name);

    let spec = policy.spec.context("the policy has no spec")?;
    findings.equal("failurePolicy of the policy", spec.failure_policy.as_deref(), Some("Fail"));
    let conditions: Vec<_> = spec.match_conditions.iter().flatten().map(|it| it.expression.as_str()).collect();
    let wanted =
        format!("request.userInfo.username == 'system:serviceaccount:' + request.namespace + ':' + '{account}'");
    findings.equal("the condition of the policy", conditions, vec![&*wanted]);
    let wanted = json!({
        "resourceRules": [{
            "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["configmaps"],
        }],
        "objectSelector": {"matchLabels": {GUARDED: "true"}},
    });
    findings.equal("what the policy looks at", serde_json::to_value(spec.match_constraints)?, wanted);

    let spec = binding.spec;
    findings.equal("policyName of the binding", Some(spec.policy_name), name);
    findings.equal("what the binding does", spec.validation_actions, vec!["Deny".to_owned()]);
    let wanted = json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}});
    findings.equal("the namespace of the binding", serde_json::to_value(spec.match_resources)?, wanted);
    Ok(())
}

fn account(objects: &Objects) -> Result<(String, String)> {
    let account = objects.one::<ServiceAccount>()?.metadata;
    Ok((account.name.context("the account has no name")?, account.namespace.context("the account has no namespace")?))
}

/// With another prefix, suffix and namespace.
pub fn follows_the_account(world: &World) -> Result<()> {
    let change = |text: &str| {
        let text = text.replace("\nnamespace: still-leading-controller\n", "\nnamespace: elsewhere\n");
        text.replace("\nnameSuffix: -controller\n", "\nnamePrefix: my-\nnameSuffix: -app\n")
    };
    let rendered = render_changed(world.kubectl()?, Overlay::Controller, change)?;
    let found = account(&rendered.objects)?;
    ensure!(found == ("my-still-leading-app".to_owned(), "elsewhere".to_owned()), "the account is {found:?}");
    ensure!(KINDS.iter().all(|kind| rendered.objects.untyped(kind).is_some()), "the policy is not rendered");
    let mut findings = Findings::default();
    look(&rendered.objects, &mut findings)?;
    findings.into_result()
}

/// What a write came to: nothing, or the refusal.
type Written = Result<(), Box<Status>>;

/// The account in its namespace, and a person.
struct Place<'a> {
    namespace: String,
    account: Api<ConfigMap>,
    person: Api<ConfigMap>,
    kubectl: &'a dyn Fn(&[&str]) -> Result<()>,
}

pub async fn refuses_what_a_former_leader_writes(world: &World) -> Result<()> {
    let kubectl = world.kubectl()?;
    let change = |text: &str| {
        let text = text.replace("\nnamespace: still-leading-controller\n", "\nnamespace: fenced\n");
        text.replace("\nnameSuffix: -controller\n", "\nnameSuffix: -fenced\n")
    };
    let objects = render_changed(kubectl, Overlay::Controller, change)?.objects;
    let (account, namespace) = account(&objects)?;
    let server = world.server(ServerKind::Real).await?;
    let dir = TempDir::new("still-leading-kit-")?;
    let kubeconfig = server.admin_kubeconfig(dir.path(), &namespace)?;
    for kind in ["Namespace", "ServiceAccount", "RoleBinding"] {
        kubectl.apply(&kubeconfig, &objects.untyped(kind).context("a kind is missing")?.to_string())?;
    }
    let mut role = objects.untyped("Role").context("there is no Role")?.clone();
    // More than the example may do, so that it is the policy that refuses a patch.
    role["rules"][1]["verbs"] = json!(["get", "create", "update", "patch"]);
    kubectl.apply(&kubeconfig, &role.to_string())?;
    let place = Place {
        account: as_account(server, &namespace, &account).await?,
        person: Api::namespaced(server.client()?, &namespace),
        kubectl: &|words| kubectl.run(&kubeconfig, words).map(drop),
        namespace,
    };
    place.wait_for("the rights are", &place.account, |written| written.is_ok()).await?;
    for kind in KINDS {
        kubectl.apply(&kubeconfig, &objects.untyped(kind).context("a kind is missing")?.to_string())?;
    }
    let is_refused = |written: &Written| refusal(written).is_ok_and(|said| said.ends_with(NO_EPOCH));
    place.wait_for("the policy is", &place.account, is_refused).await?;
    ensure!(place.try_to_create(&place.person).await.is_ok(), "a person is refused as well");
    place.later_epoch_wins().await?;
    place.older_epoch_is_refused().await?;
    place.older_epoch_is_repaired().await
}

async fn as_account(server: &ApiServer, namespace: &str, account: &str) -> Result<Api<ConfigMap>> {
    let client = server.client_with_token(&server.token(namespace, account).await?)?;
    Ok(Api::namespaced(client, namespace))
}

impl Place<'_> {
    async fn wait_for(&self, what: &str, who: &Api<ConfigMap>, is_so: impl Fn(&Written) -> bool) -> Result<()> {
        let deadline = Instant::now() + LONG;
        loop {
            let written = self.try_to_create(who).await;
            if is_so(&written) {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "{what} not in force: {written:?}");
            sleep(PERIOD).await;
        }
    }

    /// Without an epoch, as `--require-fencing` asks whether the policy is in force.
    async fn try_to_create(&self, who: &Api<ConfigMap>) -> Written {
        written(who.create(&PostParams { dry_run: true, ..PostParams::default() }, &map(None)).await)
    }

    async fn replace(&self, change: impl Fn(&mut ConfigMap)) -> Result<Written> {
        let mut now = self.account.get("child").await?;
        change(&mut now);
        Ok(written(self.account.replace("child", &PostParams::default(), &now).await))
    }

    async fn patch(&self, patch: Value) -> Written {
        written(self.account.patch("child", &PatchParams::default(), &Patch::Merge(patch)).await)
    }

    async fn later_epoch_wins(&self) -> Result<()> {
        let none = written(self.account.create(&PostParams::default(), &map(None)).await);
        ensure!(refusal(&none)?.ends_with(NO_EPOCH), "{none:?}");
        let garbage = written(self.account.create(&PostParams::default(), &map(Some("12x"))).await);
        ensure!(refusal(&garbage)?.ends_with(NO_EPOCH), "{garbage:?}");
        let mut unlabelled = map(None);
        unlabelled.metadata.name = Some("not-guarded".to_owned());
        unlabelled.metadata.labels = None;
        let unguarded = written(self.account.create(&PostParams::default(), &unlabelled).await);
        ensure!(unguarded.is_ok(), "it asks for an epoch where there is no label: {unguarded:?}");
        let first = written(self.account.create(&PostParams::default(), &map(Some("1500"))).await);
        ensure!(first.is_ok(), "{first:?}");
        // The same again is a retry.
        for epoch in ["1500", "1500", "1600", "1600"] {
            let same = self.replace(|child| set_epoch(child, epoch)).await?;
            ensure!(same.is_ok(), "{epoch}: {same:?}");
        }
        Ok(())
    }

    /// In every way of writing. None of these changes anything.
    async fn older_epoch_is_refused(&self) -> Result<()> {
        let before = self.person.get("child").await?;
        let put = self.replace(|child| set_epoch(child, "1500")).await?;
        let shorter = self.replace(|child| set_epoch(child, "999")).await?;
        ensure!(refusal(&shorter)?.ends_with("fenced: epoch 999 is over, 1600 has written since"), "{shorter:?}");
        let merged = self.patch(json!({"metadata": {"annotations": {EPOCH: "1500"}}, "data": {"x": "old"}})).await;
        let applied = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": map(Some("1500")).metadata});
        let apply = PatchParams::apply("former-leader").force();
        let applied = written(self.account.patch("child", &apply, &Patch::Apply(applied)).await);
        let unguarded = self
            .replace(|child| {
                set_epoch(child, "1500");
                child.metadata.labels = None;
            })
            .await?;
        for (how, written) in [("PUT", put), ("merge", merged), ("apply", applied), ("without the label", unguarded)] {
            ensure!(refusal(&written)?.ends_with(FENCED), "{how}: {written:?}");
        }
        let bare = self.patch(json!({"metadata": {"labels": {GUARDED: null}, "annotations": {EPOCH: null}}})).await;
        ensure!(refusal(&bare)?.ends_with(NO_EPOCH), "{bare:?}");
        let rides = self.patch(json!({"metadata": {"labels": {GUARDED: null}}})).await;
        ensure!(refusal(&rides)?.ends_with(KEEPS_ITS_LABEL), "{rides:?}");
        ensure!(self.person.get("child").await? == before, "a refused write has changed something");
        Ok(())
    }

    /// What the page asks a person to do after a restore, and what it says of a patch without an epoch.
    async fn older_epoch_is_repaired(&self) -> Result<()> {
        let riding = self.patch(json!({"data": {"x": "rides on the stored epoch"}})).await;
        ensure!(riding.is_ok(), "{riding:?}");
        let blocks = page::read(PAGE)?;
        let mut lines = blocks.iter().filter(|it| it.language == "console").flat_map(|it| it.text.lines());
        let line = lines.find_map(|line| line.strip_prefix("$ kubectl ").filter(|it| it.contains("annotate")));
        let line = line.context("the page does not say how to lower an epoch")?;
        let line = line.replace("<namespace>", &self.namespace).replace("<name>", "child");
        ensure!(!line.contains('<'), "the page wants more to be filled in: {line}");
        (self.kubectl)(&line.split(' ').collect::<Vec<_>>())?;
        let again = self.replace(|child| set_epoch(child, "1500")).await?;
        ensure!(again.is_ok(), "still refused after it: {again:?}");
        Ok(())
    }
}

fn map(epoch: Option<&str>) -> ConfigMap {
    let mut map = ConfigMap::default();
    map.metadata.name = Some("child".to_owned());
    map.metadata.labels = Some([(GUARDED.to_owned(), "true".to_owned())].into());
    map.metadata.annotations = epoch.map(|epoch| [(EPOCH.to_owned(), epoch.to_owned())].into());
    map
}

fn set_epoch(map: &mut ConfigMap, epoch: &str) {
    map.metadata.annotations.get_or_insert_default().insert(EPOCH.to_owned(), epoch.to_owned());
}

fn written<T>(answer: kube::Result<T>) -> Written {
    match answer {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) => Err(status),
        Err(error) => Err(Box::new(Status::failure(&error.to_string(), "NoAnswer"))),
    }
}

/// The message of a refusal by the policy.
fn refusal(written: &Written) -> Result<&str> {
    match written {
        Err(status) if status.code == 403 && status.reason == "Forbidden" && status.message.contains(KINDS[0]) => {
            Ok(&status.message)
        }
        other => bail!("not refused by a policy: {other:?}"),
    }
}

/// The definition on the page, as it is there.
pub async fn rule_in_a_definition_refuses_an_older_epoch(world: &World) -> Result<()> {
    let blocks = page::read(PAGE)?;
    let is_definition = |block: &&Block| block.language == "yaml" && block.text.contains("CustomResourceDefinition");
    let block = blocks.iter().find(is_definition).context("the page has no definition")?;
    let definition: DynamicObject = serde_saphyr::from_str(&block.text).context("reading the definition")?;
    let client = world.server(ServerKind::Real).await?.client()?;
    let kind = GroupVersionKind::gvk("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
    let definitions: Api<DynamicObject> = Api::all_with(client.clone(), &ApiResource::from_gvk(&kind));
    definitions.create(&PostParams::default(), &definition).await.context("creating the definition of the page")?;

    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("example.dev", "v1", "Target"));
    let targets: Api<DynamicObject> = Api::namespaced_with(client, "default", &kind);
    let deadline = Instant::now() + LONG;
    while let Err(error) = targets.list(&Default::default()).await {
        ensure!(Instant::now() < deadline, "the definition is not served: {error}");
        sleep(PERIOD).await;
    }
    let mut target = DynamicObject::new("t", &kind);
    target.data = json!({"spec": {"size": 1}});
    targets.create(&PostParams::default(), &target).await?;
    let status = |status: Value| {
        let (targets, patch) = (targets.clone(), Patch::Merge(json!({"status": status})));
        async move { written(targets.patch_status("t", &PatchParams::default(), &patch).await) }
    };
    for epoch in [1500, 1500, 1600, 1600] {
        let accepted = status(json!({"epoch": epoch})).await;
        ensure!(accepted.is_ok(), "{epoch}: {accepted:?}");
    }
    for (what, change) in [("an older epoch", json!({"epoch": 1500})), ("no status", Value::Null)] {
        let Err(refused) = status(change).await else { bail!("{what} is accepted") };
        let said = "status.epoch: Forbidden: fenced: a later epoch has written since";
        ensure!(refused.code == 422 && refused.message.ends_with(said), "{what}: {refused:?}");
    }
    // Its rule is about the status alone.
    let edited = targets.patch("t", &PatchParams::default(), &Patch::Merge(json!({"spec": {"size": 2}}))).await;
    edited.map(drop).context("a person edits the spec")
}
