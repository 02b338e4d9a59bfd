package manifests

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"craton.dev/craton/pki"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/manifests/inventory"
	"craton.dev/craton/render/part"
	"craton.dev/craton/render/parts"
)

// Objects are what `up` applies, with server-side apply as FieldManager, once the API
// answers; in this order, what machines wait for first. Bootstrap tokens are void from
// tokensExpire on.
func Objects(p *plan.Plan, s *pki.Secrets, images Images, tokensExpire time.Time) ([]*unstructured.Unstructured, error) {
	var objects []runtime.Object
	for _, maker := range []func() ([]runtime.Object, error){
		func() ([]runtime.Object, error) { return access(), nil },
		func() ([]runtime.Object, error) { return tokens(p, s, tokensExpire) },
		func() ([]runtime.Object, error) { return etcdObjects(p, images) },
		func() ([]runtime.Object, error) { return operatorPlan(p, s) },
		func() ([]runtime.Object, error) { return forPeople(p, s) },
		func() ([]runtime.Object, error) { return partsObjects(part.Input{Plan: p, Secrets: s, Images: images}) },
		func() ([]runtime.Object, error) { return controlPlane(p, images) },
	} {
		more, err := maker()
		if err != nil {
			return nil, err
		}
		objects = append(objects, more...)
	}
	out := make([]*unstructured.Unstructured, 0, len(objects))
	for _, o := range objects {
		u, err := bare(o)
		if err != nil {
			return nil, err
		}
		out = append(out, u)
	}
	kept, err := keptObjects(out)
	if err != nil {
		return nil, err
	}
	// Before all that it is about: an operator that still has the last one would put that back.
	at := slices.IndexFunc(out, func(u *unstructured.Unstructured) bool { return u.GetName() == PlanConfigMap }) + 1
	return slices.Insert(out, at, kept), nil
}

// kept are the kinds of objects that the operator puts back, of those in kube-system. Roles
// are not among them: who may give rights away has all of them.
var kept = map[string]bool{"ConfigMap": true, "DaemonSet": true, "Deployment": true, "Service": true, "ServiceAccount": true,
	inventory.EtcdCluster.Kind: true}

func keptObjects(all []*unstructured.Unstructured) (*unstructured.Unstructured, error) {
	list := []*unstructured.Unstructured{}
	for _, u := range all {
		if kept[u.GetKind()] && u.GetNamespace() == part.Namespace || u.GetKind() == "CustomResourceDefinition" {
			list = append(list, u)
		}
	}
	data, err := json.Marshal(list)
	if err != nil {
		return nil, fmt.Errorf("manifests: %w", err)
	}
	return bare(&corev1.ConfigMap{
		TypeMeta:   part.Kind("v1", "ConfigMap"),
		ObjectMeta: metav1.ObjectMeta{Name: ObjectsConfigMap, Namespace: System},
		Data:       map[string]string{ObjectsKey: string(data)},
	})
}

// partsObjects are the objects of the parts that the cluster file has chosen, marked with
// their part's name.
func partsObjects(in part.Input) ([]runtime.Object, error) {
	var out []runtime.Object
	for _, chosen := range parts.Chosen(in.Plan) {
		objects, err := chosen.Objects(in)
		if err != nil {
			return nil, err
		}
		for _, o := range objects {
			m, err := meta.Accessor(o)
			if err != nil {
				return nil, fmt.Errorf("manifests: %s: a %T is no object: %w", chosen.Name, o, err)
			}
			labels := maps.Clone(m.GetLabels())
			if labels == nil {
				labels = map[string]string{}
			}
			labels[part.Label] = chosen.Name
			m.SetLabels(labels)
		}
		out = append(out, objects...)
	}
	return out, nil
}

// bare is an object with only the fields that somebody set. The typed objects' status and
// nulls would make their applier the owner of fields that are the cluster's. Every object
// is marked as the platform's.
func bare(o runtime.Object) (*unstructured.Unstructured, error) {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
	if err != nil {
		return nil, fmt.Errorf("manifests: %T: %w", o, err)
	}
	delete(content, "status")
	u := &unstructured.Unstructured{Object: dropNulls(content)}
	if u.GetKind() == "" || u.GetName() == "" {
		return nil, fmt.Errorf("manifests: a %T has no kind or no name", o)
	}
	labels := u.GetLabels()
	if labels == nil {
		labels = map[string]string{}
	}
	labels[PlatformLabel] = "true"
	u.SetLabels(labels)
	return u, nil
}

func dropNulls(m map[string]any) map[string]any {
	for k, v := range m {
		switch v := v.(type) {
		case nil:
			delete(m, k)
		case map[string]any:
			dropNulls(v)
		case []any:
			for _, e := range v {
				if e, ok := e.(map[string]any); ok {
					dropNulls(e)
				}
			}
		}
	}
	return m
}

// tokens are a Secret a machine. Their group may ask for a kubelet's certificate and do
// nothing else; which machine gets one is the operator's decision, by the token's id.
func tokens(p *plan.Plan, s *pki.Secrets, expire time.Time) ([]runtime.Object, error) {
	var out []runtime.Object
	for _, m := range p.Machines {
		token := s.BootstrapTokens[m.Name]
		id := pki.TokenID(token)
		if id == "" {
			return nil, fmt.Errorf("manifests: there is no bootstrap token for %s: the secrets were made for another plan, make them again", m.Name)
		}
		out = append(out, &corev1.Secret{
			TypeMeta:   part.Kind("v1", "Secret"),
			ObjectMeta: metav1.ObjectMeta{Name: "bootstrap-token-" + id, Namespace: part.Namespace},
			Type:       corev1.SecretTypeBootstrapToken,
			// Data, not StringData: what is applied is then what is read back.
			Data: map[string][]byte{
				"token-id":                       []byte(id),
				"token-secret":                   []byte(token[len(id)+1:]),
				"description":                    []byte("lets machine " + m.Name + " join"),
				"expiration":                     []byte(expire.UTC().Format(time.RFC3339)),
				"usage-bootstrap-authentication": []byte("true"),
				"auth-extra-groups":              []byte(BootstrapGroup),
			},
		})
	}
	return out, nil
}

func operatorPlan(p *plan.Plan, s *pki.Secrets) ([]runtime.Object, error) {
	ids := map[string]string{}
	for machine, token := range s.BootstrapTokens {
		ids[machine] = pki.TokenID(token)
	}
	data, err := inventory.From(p, ids).Marshal()
	if err != nil {
		return nil, err
	}
	return []runtime.Object{&corev1.ConfigMap{
		TypeMeta:   part.Kind("v1", "ConfigMap"),
		ObjectMeta: metav1.ObjectMeta{Name: PlanConfigMap, Namespace: System},
		Data:       map[string]string{PlanKey: string(data)},
	}}, nil
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
