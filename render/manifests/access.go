package manifests

import (
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"craton.dev/craton/plan"
	"craton.dev/craton/render/part"
)

const (
	// Signers whose requests the operator decides.
	SignerKubeletClient  = "kubernetes.io/kube-apiserver-client-kubelet"
	SignerKubeletServing = "kubernetes.io/kubelet-serving"
	// KubeletPrefix, with the machine's name, and KubeletGroup are what API servers know a kubelet by.
	KubeletPrefix = plan.UserKubeletPrefix
	KubeletGroup  = plan.GroupKubelets

	operatorRole     = "craton:operator"
	checkpointerRole = "craton:checkpointer"
)

// access is craton's namespace and who may do what beyond what Kubernetes itself lays down.
func access() []runtime.Object {
	asGroup := rbacv1.Subject{Kind: rbacv1.GroupKind, APIGroup: rbacv1.GroupName, Name: BootstrapGroup}
	asUser := func(name string) rbacv1.Subject {
		return rbacv1.Subject{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: name}
	}
	inKube := metav1.ObjectMeta{Name: checkpointerRole, Namespace: part.Namespace}
	keeper := metav1.ObjectMeta{Name: operatorRole, Namespace: part.Namespace}
	inCraton := metav1.ObjectMeta{Name: operatorRole, Namespace: System}
	return []runtime.Object{
		&corev1.Namespace{TypeMeta: part.Kind("v1", "Namespace"), ObjectMeta: metav1.ObjectMeta{
			// It holds data. A pod in it would be a mistake, so the strictest standard will do.
			Name: System, Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"},
		}},
		part.BindCluster("craton:bootstrap", "system:node-bootstrapper", asGroup),
		part.BindCluster("craton:kubelet-api", "system:kubelet-api-admin", asUser(plan.UserKubeletClient)),
		part.ClusterRole(operatorRole,
			part.Rule("", []string{"nodes"}, "get", "list", "watch", "patch"),
			part.Rule("certificates.k8s.io", []string{"certificatesigningrequests"}, "get", "list", "watch"),
			part.Rule("certificates.k8s.io", []string{"certificatesigningrequests/approval"}, "update"),
			part.Named(part.Rule("certificates.k8s.io", []string{"signers"}, "approve"), SignerKubeletClient, SignerKubeletServing),
		),
		part.BindCluster(operatorRole, operatorRole, asUser(plan.UserOperator)),
		&rbacv1.Role{TypeMeta: part.Kind(part.RBACVersion, "Role"), ObjectMeta: inCraton, Rules: []rbacv1.PolicyRule{
			part.Rule("", []string{"configmaps"}, "get", "list", "watch"),
			part.Rule("", []string{"configmaps"}, "create"),
			part.Named(part.Rule("", []string{"configmaps"}, "update"), EtcdConfigMap),
			part.Rule("coordination.k8s.io", []string{"leases"}, "create"),
			part.Named(part.Rule("coordination.k8s.io", []string{"leases"}, "get", "update"), OperatorLease),
			part.Rule("", []string{"events"}, "create", "patch"),
			part.Rule("events.k8s.io", []string{"events"}, "create", "patch"),
		}},
		&rbacv1.RoleBinding{TypeMeta: part.Kind(part.RBACVersion, "RoleBinding"), ObjectMeta: inCraton,
			RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: operatorRole},
			Subjects: []rbacv1.Subject{asUser(plan.UserOperator)},
		},
		// The operator puts the platform's objects back.
		&rbacv1.Role{TypeMeta: part.Kind(part.RBACVersion, "Role"), ObjectMeta: keeper, Rules: []rbacv1.PolicyRule{
			part.Rule("apps", []string{"daemonsets", "deployments"}, "get", "list", "watch", "create", "patch"),
			part.Rule("", []string{"configmaps", "services", "serviceaccounts"}, "create", "patch"),
		}},
		&rbacv1.RoleBinding{TypeMeta: part.Kind(part.RBACVersion, "RoleBinding"), ObjectMeta: keeper,
			RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: operatorRole},
			Subjects: []rbacv1.Subject{asUser(plan.UserOperator)},
		},
		// Checkpointers are their kubelets to the API. They see whether somebody leads and who
		// could; a Role cannot tell masters from other machines, and neither is a secret.
		&rbacv1.Role{TypeMeta: part.Kind(part.RBACVersion, "Role"), ObjectMeta: inKube, Rules: []rbacv1.PolicyRule{
			part.Named(part.Rule("coordination.k8s.io", []string{"leases"}, "get"), "kube-scheduler", "kube-controller-manager"),
			part.Rule("", []string{"pods"}, "list"),
		}},
		&rbacv1.RoleBinding{TypeMeta: part.Kind(part.RBACVersion, "RoleBinding"), ObjectMeta: inKube,
			RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: checkpointerRole},
			Subjects: []rbacv1.Subject{{Kind: rbacv1.GroupKind, APIGroup: rbacv1.GroupName, Name: plan.GroupKubelets}},
		},
	}
}

// OperatorLease, in System, is what the operators of several masters elect their leader by.
const OperatorLease = "craton-operator"
