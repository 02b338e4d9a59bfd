package console

import (
	"context"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"craton.dev/craton/console/kube"
	"craton.dev/craton/render/manifests"
	"craton.dev/craton/render/manifests/inventory"
)

// records are what `up` and the operator put into the cluster for people to look at, as one person
// sees it for one page.
type records struct {
	person *kube.Person
	once   sync.Once
	// versions are which of each there is now; nil where the person may not list them.
	versions map[string]string
}

func (r *records) version(ctx context.Context, name string) string {
	r.once.Do(func() {
		ours := kube.Select{Labels: manifests.PlatformLabel + "=true"}
		r.versions, _ = r.person.Versions(ctx, kube.ConfigMaps, manifests.System, ours) // what is wrong, each one's own question says
	})
	return r.versions[name]
}

// published reads one of the records. It is nil where nobody has put it there yet.
func published[T any](ctx context.Context, r *records, name, key string, parse func([]byte) (*T, error)) (*T, error) {
	// Who may list them may read them: of one that has been read already, that is all that is asked.
	if version := r.version(ctx, name); version != "" {
		if last, ok := parsed.Load(name); ok && last.(parsedText[T]).version == version {
			return last.(parsedText[T]).value, nil
		}
	}
	var held corev1.ConfigMap
	err := r.person.Get(ctx, kube.ConfigMaps, manifests.System, name, &held)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	version, text := kube.VersionOf(&held), held.Data[key]
	if last, ok := parsed.Load(name); ok && last.(parsedText[T]).text == text {
		parsed.Store(name, parsedText[T]{version, text, last.(parsedText[T]).value})
		return last.(parsedText[T]).value, nil
	}
	v, err := parse([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("configmap %s/%s: %w", manifests.System, name, err)
	}
	parsed.Store(name, parsedText[T]{version, text, v})
	return v, nil
}

// parsed has what was last read under each name: to ask for the contract and to read it anew for each
// page took more than all else of it. Each person's own question says which version they may see, and
// the same version or text makes the same value, which nobody changes.
var parsed sync.Map

type parsedText[T any] struct {
	version, text string
	value         *T
}

func planOf(ctx context.Context, r *records) (*inventory.Inventory, error) {
	return published(ctx, r, manifests.PlanConfigMap, manifests.PlanKey, inventory.Parse)
}

func contractOf(ctx context.Context, r *records) (*inventory.Contract, error) {
	return published(ctx, r, manifests.ContractConfigMap, manifests.ContractKey, inventory.ParseContract)
}

func countersOf(ctx context.Context, r *records) (*inventory.Counters, error) {
	return published(ctx, r, manifests.CountersConfigMap, manifests.CountersKey, inventory.ParseCounters)
}

func operationsOf(ctx context.Context, r *records) (*inventory.Operations, error) {
	return published(ctx, r, manifests.OperationsConfigMap, manifests.OperationsKey, inventory.ParseOperations)
}

func certificatesOf(ctx context.Context, r *records) (*inventory.Certificates, error) {
	return published(ctx, r, manifests.CertificatesConfigMap, manifests.CertificatesKey, inventory.ParseCertificates)
}

func etcdOf(ctx context.Context, r *records) (*inventory.EtcdStatus, error) {
	return published(ctx, r, manifests.EtcdConfigMap, manifests.EtcdStatusKey, inventory.ParseEtcd)
}
