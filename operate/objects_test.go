package operate

import (
	"context"
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"craton.dev/craton/render/manifests"
)

// TestObjectsPutBack protects that objects which cannot be put back keep no other from it, and that the error names
// each of them: who reads only the last would mend one a minute.
func TestObjectsPutBack(t *testing.T) {
	held := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: objectsKey.Namespace, Name: objectsKey.Name},
		Data: map[string]string{manifests.ObjectsKey: `[
			{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"refused","namespace":"a"}},
			{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"wanted","namespace":"a"}},
			{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"refused"}}]`},
	}
	scheme, err := newScheme()
	if err != nil {
		t.Fatal(err)
	}
	refused := errors.New("no")
	c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(held).WithInterceptorFuncs(interceptor.Funcs{
		Apply: func(ctx context.Context, c client.WithWatch, o runtime.ApplyConfiguration, opts ...client.ApplyOption) error {
			if named, ok := o.(interface{ GetName() string }); ok && named.GetName() == "refused" {
				return refused
			}
			return c.Apply(ctx, o, opts...)
		},
	}).Build()
	err = run(t, &objects{client: c}, objectsKey.Name)
	if !errors.Is(err, refused) {
		t.Fatalf("%v: expected what the API said", err)
	}
	for _, want := range []string{"put ConfigMap a/refused back", "put Namespace refused back"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v: expected %q", err, want)
		}
	}
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: "a", Name: "wanted"}, &corev1.ConfigMap{}); err != nil {
		t.Errorf("one that could be put back was not: %v", err)
	}
}
