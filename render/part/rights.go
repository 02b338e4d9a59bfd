package part

import (
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// RBACVersion is the version of the API of roles and bindings.
const RBACVersion = rbacv1.GroupName + "/v1"

// Rule lets resources of one API group be used by some verbs.
func Rule(group string, resources []string, verbs ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: resources, Verbs: verbs}
}

// Named narrows a rule to objects of these names.
func Named(r rbacv1.PolicyRule, names ...string) rbacv1.PolicyRule {
	r.ResourceNames = names
	return r
}

// ClusterRole is a role for all namespaces.
func ClusterRole(name string, rules ...rbacv1.PolicyRule) *rbacv1.ClusterRole {
	return &rbacv1.ClusterRole{TypeMeta: Kind(RBACVersion, "ClusterRole"), ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules}
}

// BindCluster gives a role for all namespaces to a subject.
func BindCluster(name, role string, subject rbacv1.Subject) *rbacv1.ClusterRoleBinding {
	return &rbacv1.ClusterRoleBinding{
		TypeMeta: Kind(RBACVersion, "ClusterRoleBinding"), ObjectMeta: metav1.ObjectMeta{Name: name},
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects: []rbacv1.Subject{subject},
	}
}

// Account is a service account in Namespace and the subject that it is.
func Account(name string) (*corev1.ServiceAccount, rbacv1.Subject) {
	return &corev1.ServiceAccount{TypeMeta: Kind("v1", "ServiceAccount"), ObjectMeta: Meta(name)},
		rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: Namespace, Name: name}
}
