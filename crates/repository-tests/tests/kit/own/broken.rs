//! What is broken on purpose, a row each.

/// What is changed (the kind of an object), how (a JSON patch, or one operation of it), and what is to be said of it.
pub type Row = (&'static str, &'static str, &'static str);

/// In what is shipped for native.
pub const MANIFEST: &[Row] = &[
    // Names, labels and kinds.
    ("ServiceAccount", "{op: replace, path: /metadata/name, value: x}", "the name of the ServiceAccount"),
    ("Role", "{op: replace, path: /metadata/namespace, value: default}", "the namespace of the Role"),
    ("Namespace", "{op: add, path: /metadata/namespace, value: default}", "the namespace of the Namespace"),
    ("Lease", "{op: remove, path: /metadata/labels/app.kubernetes.io~1part-of}", "io/part-of of the Lease"),
    (
        "PodDisruptionBudget",
        "{op: replace, path: /metadata/labels/app.kubernetes.io~1name, value: x}",
        "io/name of the Pod",
    ),
    (
        "RoleBinding",
        "{op: replace, path: /metadata/labels/app.kubernetes.io~1instance, value: x}",
        "io/instance of the Role",
    ),
    (
        "Deployment",
        "{op: remove, path: /spec/template/metadata/labels/app.kubernetes.io~1part-of}",
        "part-of of the Deployment template",
    ),
    (
        "Namespace",
        "{op: replace, path: /metadata/labels/pod-security.kubernetes.io~1enforce, value: baseline}",
        "the label enforce is Some(\"baseline\")",
    ),
    ("Lease", "{op: replace, path: /kind, value: ConfigMap}", "the list of kinds"),
    ("Deployment", "{op: replace, path: /kind, value: StatefulSet}", "the list of kinds"),
    // Who may do what with which Lease.
    ("RoleBinding", "{op: replace, path: /subjects/0/name, value: x}", "subjects of the RoleBinding"),
    ("RoleBinding", "{op: replace, path: /subjects/0/namespace, value: x}", "subjects of the RoleBinding"),
    ("RoleBinding", "{op: add, path: /subjects/-, value: {kind: User, name: x}}", "subjects of the RoleBinding"),
    ("RoleBinding", "{op: replace, path: /roleRef/name, value: x}", "roleRef of the RoleBinding"),
    ("RoleBinding", "{op: replace, path: /roleRef/kind, value: ClusterRole}", "roleRef of the RoleBinding"),
    ("Deployment", "{op: replace, path: /spec/template/spec/serviceAccountName, value: x}", "the account of the pods"),
    ("Deployment", "{op: replace, path: /spec/template/spec/containers/0/env/1/value, value: x}", "LEASE_NAME"),
    ("Lease", "{op: replace, path: /metadata/name, value: x}", "LEASE_NAME"),
    ("Lease", "{op: add, path: /spec, value: {holderIdentity: x}}", "the spec of the Lease"),
    ("Role", "{op: replace, path: /rules/0/resourceNames/0, value: x}", "resourceNames of the rule"),
    ("Role", "{op: add, path: /rules/0/resourceNames/-, value: x}", "resourceNames of the rule"),
    ("Role", "{op: remove, path: /rules/0/resourceNames}", "resourceNames of the rule"),
    ("Role", "{op: add, path: /rules/-, value: {verbs: [create], resources: [leases]}}", "rule for [\"create\"]"),
    // Selectors.
    ("Deployment", "{op: add, path: /spec/selector/matchLabels/x, value: x}", "does not find its pods"),
    ("Deployment", "{op: replace, path: /spec/selector/matchLabels, value: {}}", "finds every pod"),
    ("Deployment", "{op: add, path: /spec/selector/matchExpressions, value: []}", "Deployment has expressions"),
    ("PodDisruptionBudget", "{op: add, path: /spec/selector/matchLabels/x, value: x}", "selector of the PodDisruption"),
    ("PodDisruptionBudget", "{op: remove, path: /spec/selector}", "the PodDisruptionBudget finds every pod"),
    ("PodDisruptionBudget", "{op: replace, path: /spec/maxUnavailable, value: 0}", "maxUnavailable of the Pod"),
    (
        "Deployment",
        "{op: remove, path: /spec/template/spec/topologySpreadConstraints/0/labelSelector}",
        "the selector of the spread over nodes",
    ),
    (
        "Deployment",
        "{op: remove, path: /spec/template/spec/topologySpreadConstraints/0/matchLabelKeys}",
        "matchLabelKeys",
    ),
    // Pod Security.
    ("Deployment", "{op: add, path: /spec/template/spec/hostNetwork, value: true}", "hostNetwork is"),
    ("Deployment", "{op: add, path: /spec/template/spec/hostPID, value: true}", "hostPID is"),
    ("Deployment", "{op: add, path: /spec/template/spec/hostIPC, value: true}", "hostIPC is"),
    (
        "Deployment",
        "{op: add, path: /spec/template/spec/volumes, value: [{name: x, hostPath: {path: /}}]}",
        "volumes is",
    ),
    (
        "Deployment",
        "{op: replace, path: /spec/template/spec/securityContext/runAsNonRoot, value: false}",
        "runAsNonRoot",
    ),
    ("Deployment", "{op: remove, path: /spec/template/spec/securityContext/runAsNonRoot}", "runAsNonRoot"),
    ("Deployment", "{op: add, path: /spec/template/spec/securityContext/runAsUser, value: 65532}", "runAsUser is"),
    ("Deployment", "{op: add, path: /spec/template/spec/securityContext/runAsGroup, value: 65532}", "runAsGroup is"),
    ("Deployment", "{op: add, path: /spec/template/spec/securityContext/fsGroup, value: 65532}", "fsGroup is"),
    ("Deployment", "{op: remove, path: /spec/template/spec/nodeSelector}", "nodeSelector is"),
    (
        "Deployment",
        "{op: replace, path: /spec/template/spec/securityContext/seccompProfile/type, value: Unconfined}",
        "seccompProfile is",
    ),
    (
        "Deployment",
        "{op: add, path: /spec/template/spec/securityContext/sysctls, value: [{name: x, value: x}]}",
        "sysctls is",
    ),
    (
        "Deployment",
        "{op: replace, path: /spec/template/spec/containers/0/securityContext/allowPrivilegeEscalation, value: true}",
        "securityContext of the container app",
    ),
    (
        "Deployment",
        "{op: remove, path: /spec/template/spec/containers/0/securityContext/readOnlyRootFilesystem}",
        "securityContext of the container app",
    ),
    (
        "Deployment",
        "{op: replace, path: /spec/template/spec/containers/0/securityContext/capabilities/drop, value: []}",
        "securityContext of the container app",
    ),
    (
        "Deployment",
        "{op: add, path: /spec/template/spec/containers/0/securityContext/runAsUser, value: 0}",
        "securityContext of the container app",
    ),
    (
        "Deployment",
        "{op: add, path: /spec/template/spec/initContainers, value: [{name: first}]}",
        "securityContext of the container first",
    ),
    (
        "Deployment",
        "{op: add, path: /spec/template/spec/containers/0/ports/0/hostPort, value: 80}",
        "a port on its host",
    ),
    // What the pods run on, and how they are replaced.
    ("Deployment", "{op: add, path: /spec/template/spec/containers/0/resources/limits/cpu, value: 1}", "limits"),
    ("Deployment", "{op: remove, path: /spec/template/spec/containers/0/resources/limits}", "limits"),
    ("Deployment", "{op: remove, path: /spec/template/spec/containers/0/resources/requests/cpu}", "requests"),
    (
        "Deployment",
        "{op: replace, path: /spec/template/spec/containers/0/image, value: 'still-leading-native:latest'}",
        "the image is",
    ),
    (
        "Deployment",
        "{op: replace, path: /spec/template/spec/containers/0/imagePullPolicy, value: Always}",
        "imagePullPolicy",
    ),
    (
        "Deployment",
        "{op: replace, path: /spec/template/spec/containers/0/livenessProbe/httpGet/path, value: /readyz}",
        "the path of the liveness probe",
    ),
    (
        "Deployment",
        "{op: replace, path: /spec/template/spec/containers/0/readinessProbe/httpGet/path, value: /leader}",
        "the path of the readiness probe",
    ),
    (
        "Deployment",
        "{op: replace, path: /spec/template/spec/containers/0/readinessProbe/httpGet/port, value: web}",
        "the readiness probe has a port that is none",
    ),
    (
        "Deployment",
        "{op: add, path: /spec/template/spec/containers/0/livenessProbe/httpGet/host, value: x}",
        "the liveness probe asks another host",
    ),
    (
        "Deployment",
        "{op: remove, path: /spec/template/spec/containers/0/livenessProbe}",
        "the path of the liveness probe",
    ),
    (
        "Deployment",
        "{op: replace, path: /spec/template/spec/terminationGracePeriodSeconds, value: 20}",
        "no time to end",
    ),
    (
        "Deployment",
        "{op: add, path: /spec/template/spec/containers/0/args, value: [--renew-deadline=14s]}",
        "arguments",
    ),
    (
        "Deployment",
        "{op: add, path: /spec/template/spec/containers/0/env/-, value: {name: RENEW_DEADLINE, value: 14s}}",
        "variables",
    ),
    ("Deployment", "{op: remove, path: /spec/template/spec/containers/0/env/0}", "ENABLE_LEADER_ELECTION"),
    (
        "Deployment",
        "{op: replace, path: /spec/template/spec/containers/0/env/0/value, value: 'false'}",
        "ENABLE_LEADER_ELECTION",
    ),
    ("Deployment", "{op: replace, path: /spec/strategy/rollingUpdate/maxSurge, value: 1}", "maxSurge is"),
    ("Deployment", "{op: replace, path: /spec/strategy/rollingUpdate/maxUnavailable, value: 25%}", "maxUnavailable is"),
    ("Deployment", "{op: replace, path: /spec/strategy, value: {type: Recreate}}", "all pods are replaced at once"),
    ("Deployment", "{op: replace, path: /spec/replicas, value: 1}", "no standby"),
];

/// In what is rendered for native with every component.
pub const COMPONENTS: &[Row] = &[
    ("StatefulSet", "{op: replace, path: /spec/serviceName, value: x}", "serviceName of the StatefulSet"),
    (
        "StatefulSet",
        "{op: replace, path: /spec/template/spec/topologySpreadConstraints/0/matchLabelKeys/0, value: pod-template-hash}",
        "matchLabelKeys",
    ),
    ("StatefulSet", "{op: add, path: /spec/template/spec/securityContext/runAsUser, value: 0}", "runAsUser is"),
    ("Service", "{op: add, path: /spec/selector/x, value: x}", "the selector of the Service"),
    ("Service", "{op: remove, path: /spec/clusterIP}", "clusterIP of the Service"),
    ("Service", "{op: replace, path: /spec/ports/0/targetPort, value: web}", "the Service has a port that is none"),
    ("NetworkPolicy", "{op: replace, path: /spec/podSelector, value: {}}", "the NetworkPolicy finds every pod"),
    (
        "NetworkPolicy",
        "{op: add, path: /spec/podSelector/matchLabels/x, value: x}",
        "the selector of the NetworkPolicy",
    ),
    ("NetworkPolicy", "{op: replace, path: /spec/ingress/0/ports/0/port, value: web}", "the NetworkPolicy has a port"),
    ("PodMonitor", "{op: add, path: /spec/selector/matchLabels/x, value: x}", "the PodMonitor does not find the pods"),
    ("PodMonitor", "{op: add, path: /spec/namespaceSelector, value: {any: true}}", "into other namespaces"),
    ("PodMonitor", "{op: replace, path: /spec/podMetricsEndpoints/0/port, value: web}", "the PodMonitor has a port"),
    ("PodMonitor", "{op: remove, path: /spec/podMetricsEndpoints/0}", "the PodMonitor has no endpoint"),
    ("PrometheusRule", "{op: remove, path: /metadata/labels}", "of the PrometheusRule"),
    ("StatefulSet", "{op: replace, path: /spec/replicas, value: 3}", "not a single one"),
    ("Role", "{op: remove, path: /rules/0/verbs/3}", "whether the Role grants create"),
    ("PrometheusRule", "{op: replace, path: /kind, value: Service}", "the list of kinds"),
];

/// In what is rendered for the example with every component.
pub const CONTROLLER: &[Row] = &[
    // What the Role grants.
    ("Role", "{op: add, path: /rules/1/verbs/-, value: delete}", "the list of rights besides those on the Lease"),
    ("Role", "{op: remove, path: /rules/2}", "the list of rights besides those on the Lease"),
    ("Role", "{op: add, path: /rules/2/resourceNames, value: [x]}", "the list of rights besides those on the Lease"),
    ("Role", "{op: add, path: /rules/0/verbs/-, value: patch}", "the list of verbs on the Lease"),
    ("Role", "{op: remove, path: /rules/0/resourceNames}", "resourceNames of the rule"),
    // What the policy is about.
    ("ValidatingAdmissionPolicy", "{op: replace, path: /metadata/name, value: x}", "the name of the Validating"),
    ("ValidatingAdmissionPolicy", "{op: add, path: /metadata/namespace, value: x}", "the namespace of the Validating"),
    (
        "ValidatingAdmissionPolicy",
        "{op: replace, path: /spec/matchConditions/0/expression, value: 'true'}",
        "the condition of the policy",
    ),
    ("ServiceAccount", "{op: replace, path: /metadata/name, value: x}", "the condition of the policy"),
    ("ValidatingAdmissionPolicy", "{op: replace, path: /spec/failurePolicy, value: Ignore}", "failurePolicy"),
    (
        "ValidatingAdmissionPolicy",
        "{op: remove, path: /spec/matchConstraints/resourceRules/0/operations/1}",
        "what the policy looks at",
    ),
    (
        "ValidatingAdmissionPolicy",
        "{op: remove, path: /spec/matchConstraints/objectSelector}",
        "what the policy looks at",
    ),
    (
        "ValidatingAdmissionPolicyBinding",
        "{op: replace, path: /spec/policyName, value: x}",
        "policyName of the binding",
    ),
    (
        "ValidatingAdmissionPolicyBinding",
        "{op: replace, path: /spec/validationActions, value: [Warn]}",
        "what the binding",
    ),
    ("ValidatingAdmissionPolicyBinding", "{op: remove, path: /spec/matchResources}", "the namespace of the binding"),
    // The application's variables.
    ("StatefulSet", "{op: remove, path: /spec/template/spec/containers/0/env/4}", "REQUIRE_FENCING"),
    (
        "StatefulSet",
        "{op: replace, path: /spec/template/spec/containers/0/env/4/value, value: 'false'}",
        "REQUIRE_FENCING",
    ),
];

/// In the lists of variants in skaffold.yaml.
pub const PROFILES: &[Row] = &[
    ("", "{op: remove, path: /profiles/1}", "the profiles of skaffold.yaml"),
    ("", "{op: replace, path: /profiles/1/name, value: x}", "the profiles of skaffold.yaml"),
    ("", "{op: remove, path: /profiles/8/build/artifacts/2}", "the images of its profile all"),
    ("", "{op: remove, path: /profiles/8/manifests/kustomize/paths/3}", "the paths of its profile all"),
    ("", "{op: replace, path: /build/artifacts/0/image, value: still-leading-kubert}", "runs without a profile"),
];

/// Elsewhere in skaffold.yaml.
pub const SKAFFOLD: &[Row] = &[
    ("", "{op: replace, path: /profiles/1/build/artifacts/0/image, value: x}", "the profile kube-leader-election"),
    (
        "",
        "{op: replace, path: /profiles/2/build/artifacts/0/docker/buildArgs/VARIANT, value: x}",
        "profile kube-coordinate",
    ),
    (
        "",
        "{op: replace, path: '/profiles/3/manifests/kustomize/paths/0', value: deploy/overlays/native}",
        "profile kubert",
    ),
    (
        "",
        "{op: replace, path: /profiles/7/build/artifacts/0/docker/buildArgs/PARENT, value: apps}",
        "the profile controller",
    ),
    ("", "{op: add, path: /profiles/4/deploy, value: {kubeContext: x}}", "the profile kube-lease-manager"),
    ("", "{op: remove, path: /profiles/6/build/artifacts/0/context}", "the profile client-go"),
    ("", "{op: remove, path: /profiles/8/build/artifacts/6/context}", "what the profile all builds"),
    ("", "{op: replace, path: /build/artifacts/0/docker/buildArgs/VARIANT, value: kubert}", "built without a profile"),
    ("", "{op: add, path: /manifests/rawYaml, value: [x]}", "what is deployed without a profile"),
    ("", "{op: replace, path: /deploy/kubeContext, value: kind-kind}", "deploy.kubeContext"),
    ("", "{op: remove, path: /deploy/logs}", "deploy.logs.prefix"),
];
