package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"craton.dev/craton/command"
)

// recover sets the cluster back to a backup of just before, and lets the fault befall it
// meanwhile. What was written before the backup has to be there; that later writes are gone
// is what a recovery is for, so the load begins after it.
func (p *play) recover(ctx context.Context) error {
	dir := p.lab.scratch(p)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	backup, key := filepath.Join(dir, "backup"), filepath.Join(dir, "key")
	for _, left := range []string{backup, key} { // of an earlier run
		if err := os.Remove(left); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	name := fmt.Sprintf("craton-faults-%08x-kept", uint32(p.seed))
	maps := p.client.CoreV1().ConfigMaps(metav1.NamespaceDefault)
	_, err := maps.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	if _, err := (command.Cmd{Name: p.lab.craton, Args: []string{"backup", "--cluster", p.lab.name, "--out", backup, "--identity-out", key},
		Timeout: 2 * time.Minute}).Run(ctx); err != nil {
		return err
	}
	run := func() *up {
		return p.lab.run(ctx, "recover", "--cluster", p.lab.name, "--force", p.lab.name, "--from", backup, "--identity", key)
	}
	r := run()
	if err := r.await(ctx, "ending the control plane"); err != nil {
		return err
	}
	sleep(ctx, time.Duration(p.random.Int64N(int64(12*time.Second))))
	p.began = time.Now()
	p.row.note(p, "%s", p.scenario.fault.name)
	for end := time.Now().Add(20 * time.Second); ; {
		err := p.scenario.fault.do(ctx, p)
		if err == nil {
			break
		}
		if time.Now().After(end) || !sleep(ctx, 100*time.Millisecond) { // what is to be broken may not run just then
			return fmt.Errorf("the fault could not be made: %w", err)
		}
	}
	if p.scenario.fault.mend != nil {
		sleep(ctx, p.scenario.fault.hold)
		p.row.note(p, "the fault ends")
		if err := p.scenario.fault.mend(ctx, p); err != nil {
			return err
		}
	}
	if err := r.wait(ctx); err != nil {
		p.row.note(p, "recover ended: %v", err)
		if err := run().wait(ctx); err != nil {
			return fmt.Errorf("recover failed once by the fault, and then again: %w", err)
		}
	}
	p.row.note(p, "recover has ended")
	if err := p.lab.open(); err != nil {
		return err
	}
	if _, err := maps.Get(ctx, name, metav1.GetOptions{}); err != nil {
		return fmt.Errorf("what was written before the backup is not there: %w", err)
	}
	return maps.Delete(ctx, name, metav1.DeleteOptions{})
}
