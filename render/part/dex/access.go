package dex

import (
	"fmt"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"craton.dev/craton/cluster"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/part"
)

// prefix begins the name of each person and group that Dex vouches for, so that none is one of
// Kubernetes' own, such as system:masters, whatever a directory calls it. The place at which the
// person signed in comes next: a group counts only as that place's.
const prefix = "sign-in:"

// Group is the name that the API server gives a group of the cluster file, WHERE:NAME.
func Group(group string) string { return prefix + group }

// Authenticator is the entry of the API server's AuthenticationConfiguration that trusts Dex.
// authority is the certificate of the authority that signed Dex's.
//
// The place is in federated_claims, which a client gets where it asks for it. A token without it
// is refused: nothing says whose groups it names. An address counts where the place vouches for
// it; otherwise the person is the place's own id for them.
func Authenticator(p *plan.Plan, authority []byte) ([]byte, error) {
	const (
		from = "'" + prefix + "' + claims.federated_claims.connector_id + ':'"
		name = from + " + (claims.?email_verified.orValue(false) ? claims.email : claims.sub)"
		each = "dyn(claims.?groups.orValue([])).map(g, " + from + " + g)"
	)
	return yaml.Marshal([]map[string]any{{
		"issuer": map[string]any{
			"url": Issuer(p), "certificateAuthority": string(authority),
			"audiences": []string{Client, ConsoleClient}, "audienceMatchPolicy": "MatchAny",
		},
		"claimMappings": map[string]any{
			"username": map[string]any{"expression": name},
			"groups":   map[string]any{"expression": each},
		},
		// The prefix is ours, not a token's.
		"userValidationRules": []map[string]any{{
			"expression": "user.username.startsWith('" + prefix + "') && user.groups.all(g, g.startsWith('" + prefix + "'))",
			"message":    "a person's name and groups have to begin with " + prefix,
		}},
	}})
}

// viewMore is what role view sees beside Kubernetes' own of that name, which leaves out all that
// belongs to no namespace.
const viewMore = "craton:view"

// roles are what groups may do. There is a binding for each role, also an empty one: what is
// taken out of the cluster file is taken out of it.
func roles(f *cluster.Cluster) []runtime.Object {
	groups := map[string][]string{}
	if f.SignIn.FirstAdministrator {
		groups[cluster.RoleAdmin] = append(groups[cluster.RoleAdmin], cluster.LocalUsers+":"+groupAdministrators)
	}
	for _, r := range f.SignIn.Roles {
		groups[r.Role] = append(groups[r.Role], r.Group)
	}
	bind := func(role, clusterRole string) *rbacv1.ClusterRoleBinding {
		subjects := []rbacv1.Subject{}
		for _, g := range groups[role] {
			subjects = append(subjects, rbacv1.Subject{Kind: rbacv1.GroupKind, APIGroup: rbacv1.GroupName, Name: Group(g)})
		}
		return &rbacv1.ClusterRoleBinding{
			TypeMeta:   part.Kind(part.RBACVersion, "ClusterRoleBinding"),
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("craton:sign-in:%s", strings.TrimPrefix(clusterRole, "craton:"))},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: clusterRole},
			Subjects:   subjects,
		}
	}
	more := bind(cluster.RoleView, viewMore)
	more.Name += "-more"
	return []runtime.Object{
		bind(cluster.RoleAdmin, "cluster-admin"),
		bind(cluster.RoleView, "view"),
		part.ClusterRole(viewMore,
			part.Rule("", []string{"nodes", "persistentvolumes"}, "get", "list", "watch"),
			part.Rule("storage.k8s.io", []string{"storageclasses", "volumeattachments", "csidrivers", "csinodes"}, "get", "list", "watch"),
			part.Rule("scheduling.k8s.io", []string{"priorityclasses"}, "get", "list", "watch"),
			part.Rule("certificates.k8s.io", []string{"certificatesigningrequests"}, "get", "list", "watch"),
			part.Rule("metrics.k8s.io", []string{"nodes", "pods"}, "get", "list", "watch"),
		),
		more,
	}
}
