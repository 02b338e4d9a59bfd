package manifests

import (
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"craton.dev/craton/plan"
)

const (
	rbacVersion = rbacv1.GroupName + "/v1"
	// Signers whose requests the operator decides.
	SignerKubeletClient  = "kubernetes.io/kube-apiserver-client-kubelet"
	SignerKubeletServing = "kubernetes.io/kubelet-serving"

	operatorRole     = "craton:operator"
	checkpointerRole = "craton:checkpointer"
)

// access is craton's namespace and who may do what beyond what Kubernetes itself lays down.
func access() []runtime.Object {
	asGroup := rbacv1.Subject{Kind: rbacv1.GroupKind, APIGroup: rbacv1.GroupName, Name: BootstrapGroup}
	asUser := func(name string) rbacv1.Subject {
		return rbacv1.Subject{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: name}
	}
	inKube := metav1.ObjectMeta{Name: checkpointerRole, Namespace: kubeSystem}
	keeper := metav1.ObjectMeta{Name: operatorRole, Namespace: kubeSystem}
	inCraton := metav1.ObjectMeta{Name: operatorRole, Namespace: System}
	return []runtime.Object{
		&corev1.Namespace{TypeMeta: kind("v1", "Namespace"), ObjectMeta: metav1.ObjectMeta{
			// It holds data. A pod in it would be a mistake, so the strictest standard will do.
			Name: System, Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"},
		}},
		bindCluster("craton:bootstrap", "system:node-bootstrapper", asGroup),
		bindCluster("craton:kubelet-api", "system:kubelet-api-admin", asUser(plan.UserKubeletClient)),
		clusterRole(operatorRole,
			rule("", []string{"nodes"}, "get", "list", "watch", "patch"),
			rule("certificates.k8s.io", []string{"certificatesigningrequests"}, "get", "list", "watch"),
			rule("certificates.k8s.io", []string{"certificatesigningrequests/approval"}, "update"),
			named(rule("certificates.k8s.io", []string{"signers"}, "approve"), SignerKubeletClient, SignerKubeletServing),
		),
		bindCluster(operatorRole, operatorRole, asUser(plan.UserOperator)),
		&rbacv1.Role{TypeMeta: kind(rbacVersion, "Role"), ObjectMeta: inCraton, Rules: []rbacv1.PolicyRule{
			rule("", []string{"configmaps"}, "get", "list", "watch"),
			rule("", []string{"configmaps"}, "create"),
			named(rule("", []string{"configmaps"}, "update"), EtcdConfigMap),
			rule("coordination.k8s.io", []string{"leases"}, "create"),
			named(rule("coordination.k8s.io", []string{"leases"}, "get", "update"), OperatorLease),
			rule("", []string{"events"}, "create", "patch"),
			rule("events.k8s.io", []string{"events"}, "create", "patch"),
		}},
		&rbacv1.RoleBinding{TypeMeta: kind(rbacVersion, "RoleBinding"), ObjectMeta: inCraton,
			RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: operatorRole},
			Subjects: []rbacv1.Subject{asUser(plan.UserOperator)},
		},
		// The operator puts the platform's objects back.
		&rbacv1.Role{TypeMeta: kind(rbacVersion, "Role"), ObjectMeta: keeper, Rules: []rbacv1.PolicyRule{
			rule("apps", []string{"daemonsets", "deployments"}, "get", "list", "watch", "create", "patch"),
			rule("", []string{"configmaps", "services", "serviceaccounts"}, "create", "patch"),
		}},
		&rbacv1.RoleBinding{TypeMeta: kind(rbacVersion, "RoleBinding"), ObjectMeta: keeper,
			RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: operatorRole},
			Subjects: []rbacv1.Subject{asUser(plan.UserOperator)},
		},
		// Checkpointers are their kubelets to the API. They see whether somebody leads and who
		// could; a Role cannot tell masters from other machines, and neither is a secret.
		&rbacv1.Role{TypeMeta: kind(rbacVersion, "Role"), ObjectMeta: inKube, Rules: []rbacv1.PolicyRule{
			named(rule("coordination.k8s.io", []string{"leases"}, "get"), "kube-scheduler", "kube-controller-manager"),
			rule("", []string{"pods"}, "list"),
		}},
		&rbacv1.RoleBinding{TypeMeta: kind(rbacVersion, "RoleBinding"), ObjectMeta: inKube,
			RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: checkpointerRole},
			Subjects: []rbacv1.Subject{{Kind: rbacv1.GroupKind, APIGroup: rbacv1.GroupName, Name: "system:nodes"}},
		},
	}
}

// OperatorLease, in System, is what the operators of several masters elect their leader by.
const OperatorLease = "craton-operator"

func rule(group string, resources []string, verbs ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: resources, Verbs: verbs}
}

func named(r rbacv1.PolicyRule, names ...string) rbacv1.PolicyRule {
	r.ResourceNames = names
	return r
}

func clusterRole(name string, rules ...rbacv1.PolicyRule) *rbacv1.ClusterRole {
	return &rbacv1.ClusterRole{TypeMeta: kind(rbacVersion, "ClusterRole"), ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules}
}

func bindCluster(name, role string, subject rbacv1.Subject) *rbacv1.ClusterRoleBinding {
	return &rbacv1.ClusterRoleBinding{
		TypeMeta: kind(rbacVersion, "ClusterRoleBinding"), ObjectMeta: metav1.ObjectMeta{Name: name},
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects: []rbacv1.Subject{subject},
	}
}

// account is a service account in kube-system and the subject that it is.
func account(name string) (*corev1.ServiceAccount, rbacv1.Subject) {
	return &corev1.ServiceAccount{TypeMeta: kind("v1", "ServiceAccount"), ObjectMeta: inSystem(name)},
		rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: kubeSystem, Name: name}
}
