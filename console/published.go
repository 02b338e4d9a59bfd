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

// published reads one of the things that `up` and the operator put into the cluster for
// people to look at. It is nil where nobody has put it there yet.
func published[T any](ctx context.Context, p *kube.Person, name, key string, parse func([]byte) (*T, error)) (*T, error) {
	var held corev1.ConfigMap
	err := p.Get(ctx, kube.ConfigMaps, manifests.System, name, &held)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	text := held.Data[key]
	if last, ok := parsed.Load(name); ok && last.(parsedText[T]).text == text {
		return last.(parsedText[T]).value, nil
	}
	v, err := parse([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("configmap %s/%s: %w", manifests.System, name, err)
	}
	parsed.Store(name, parsedText[T]{text, v})
	return v, nil
}

// parsed has what was last read under each name: to read the contract anew for each page took more
// than all else of it. Each person's own question gives the text, and the same text makes the same
// value, which nobody changes.
var parsed sync.Map

type parsedText[T any] struct {
	text  string
	value *T
}

func planOf(ctx context.Context, p *kube.Person) (*inventory.Inventory, error) {
	return published(ctx, p, manifests.PlanConfigMap, manifests.PlanKey, inventory.Parse)
}

func contractOf(ctx context.Context, p *kube.Person) (*inventory.Contract, error) {
	return published(ctx, p, manifests.ContractConfigMap, manifests.ContractKey, inventory.ParseContract)
}

func countersOf(ctx context.Context, p *kube.Person) (*inventory.Counters, error) {
	return published(ctx, p, manifests.CountersConfigMap, manifests.CountersKey, inventory.ParseCounters)
}

func operationsOf(ctx context.Context, p *kube.Person) (*inventory.Operations, error) {
	return published(ctx, p, manifests.OperationsConfigMap, manifests.OperationsKey, inventory.ParseOperations)
}

func certificatesOf(ctx context.Context, p *kube.Person) (*inventory.Certificates, error) {
	return published(ctx, p, manifests.CertificatesConfigMap, manifests.CertificatesKey, inventory.ParseCertificates)
}

func etcdOf(ctx context.Context, p *kube.Person) (*inventory.EtcdStatus, error) {
	return published(ctx, p, manifests.EtcdConfigMap, manifests.EtcdStatusKey, inventory.ParseEtcd)
}
