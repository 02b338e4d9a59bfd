package bootstrap

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"craton.dev/craton/render/manifests"
	"craton.dev/craton/render/manifests/inventory"
)

// journal writes what an operation does into the cluster, where people see it in the
// Console. It holds nothing up: what cannot be written now is written later, or not at all.
type journal struct {
	c *Cluster

	mu     sync.Mutex
	op     inventory.Operation
	client kubernetes.Interface // nil until there is an API to write to
	dirty  bool

	stop, done chan struct{}
}

const (
	// writeEvery is how often news is written.
	writeEvery = time.Second
	// writeWithin bounds each attempt.
	writeWithin = 2 * time.Second
)

// step is one part of an operation. It looks at what is there before it does anything.
type step struct {
	name string
	do   func(context.Context) error
}

func names(steps []step) []string {
	var names []string
	for _, s := range steps {
		names = append(names, s.name)
	}
	return names
}

// perform does the steps of an operation, which the journal has. It ends at the first that fails: trouble
// says what that means.
func (c *Cluster) perform(ctx context.Context, what string, steps []step, trouble func(step string, err error) error) error {
	j := c.journal(what, names(steps))
	for i, s := range steps {
		j.step(i)
		if err := s.do(ctx); err != nil {
			err = trouble(s.name, err)
			j.end(err)
			return err
		}
	}
	j.step(len(steps))
	j.end(nil)
	return nil
}

// journal begins one. Sentences of progress go to it as well from then on.
func (c *Cluster) journal(what string, steps []string) *journal {
	now := time.Now().UTC()
	j := &journal{
		c: c, stop: make(chan struct{}), done: make(chan struct{}),
		op: inventory.Operation{ID: now.Format("20060102T150405.000"), What: what, Began: now, Steps: steps},
	}
	before := c.opt.Progress
	c.opt.Progress = func(sentence string) {
		j.change(func(op *inventory.Operation) { op.Now = sentence })
		if before != nil {
			before(sentence)
		}
	}
	go j.keep()
	return j
}

func (j *journal) change(change func(*inventory.Operation)) {
	j.mu.Lock()
	defer j.mu.Unlock()
	change(&j.op)
	j.dirty = true
}

// step says that so many steps are done. From the first moment at which the cluster has an
// API, it is where the journal goes.
func (j *journal) step(done int) {
	j.change(func(op *inventory.Operation) { op.Step = done })
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.client == nil && j.c.Secrets != nil && j.c.founded() {
		if client, err := j.c.clientset(); err == nil {
			j.client = client
		}
	}
}

// end says how it ended, and returns once that is written or cannot be.
func (j *journal) end(err error) {
	close(j.stop)
	<-j.done
	j.change(func(op *inventory.Operation) {
		op.Ended, op.Now = time.Now().UTC(), ""
		if err != nil {
			op.Failed = err.Error()
		}
	})
	j.write()
}

func (j *journal) keep() {
	defer close(j.done)
	ticker := time.NewTicker(writeEvery)
	defer ticker.Stop()
	for {
		select {
		case <-j.stop:
			return
		case <-ticker.C:
			j.write()
		}
	}
}

// write brings the cluster's list up to date, where there is something new.
func (j *journal) write() {
	j.mu.Lock()
	op, client, dirty := j.op, j.client, j.dirty
	j.dirty = false
	j.mu.Unlock()
	if client == nil || !dirty {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), writeWithin)
	defer cancel()
	if err := writeOperation(ctx, client, op); err != nil {
		j.mu.Lock()
		j.dirty = true
		j.mu.Unlock()
	}
}

func writeOperation(ctx context.Context, client kubernetes.Interface, op inventory.Operation) error {
	maps := client.CoreV1().ConfigMaps(manifests.System)
	held, err := maps.Get(ctx, manifests.OperationsConfigMap, metav1.GetOptions{})
	missing := apierrors.IsNotFound(err)
	if err != nil && !missing {
		return err
	}
	all := &inventory.Operations{}
	if !missing {
		if old, err := inventory.ParseOperations([]byte(held.Data[manifests.OperationsKey])); err == nil {
			all = old // what cannot be read is begun anew
		}
	}
	text, err := json.Marshal(all.With(op))
	if err != nil {
		return fmt.Errorf("the operations in the cluster: %w", err)
	}
	next := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{
			Name: manifests.OperationsConfigMap, Namespace: manifests.System, Labels: map[string]string{manifests.PlatformLabel: "true"},
		},
		Data: map[string]string{manifests.OperationsKey: string(text)},
	}
	if missing {
		_, err = maps.Create(ctx, next, metav1.CreateOptions{})
		return err
	}
	next.ResourceVersion = held.ResourceVersion
	_, err = maps.Update(ctx, next, metav1.UpdateOptions{})
	return err
}
