package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"craton.dev/craton/bootstrap"
)

// writesOfRun is how many writes a run's median is of, for each kind of etcd.
const writesOfRun = 200

// writeSample is the time of a write with a kind of etcd.
func writeSample(kind string) string { return "write, etcd " + kind }

// etcdKinds compares how long a write through the API takes with each kind of etcd: a cluster of
// one machine each, with one member, all of them there at the same time and written to by turns.
// So whatever else the host does is the same for all.
func (b *bench) etcdKinds(ctx context.Context) (err error) {
	kinds := []string{"internal", "external", "selfHosted"}
	clients := map[string]kubernetes.Interface{}
	for _, kind := range kinds {
		name := "bench" + strings.ToLower(kind)
		more := "etcd: " + kind + "\n"
		if kind == "external" {
			dir := filepath.Join(bootstrap.StateRoot, name, "local", "etcd") // the platform plays it where its files are there
			more += fmt.Sprintf("externalEtcd:\n  endpoints: [https://192.0.2.21:2379]\n  caFile: %s/ca.crt\n  certFile: %[1]s/client.crt\n  keyFile: %[1]s/client.key\n", dir)
		}
		var file string
		if file, err = b.clusterFile(name, 0, more); err != nil {
			return err
		}
		if err := b.cleanUp(name); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, b.cleanUp(name)) }()
		if err := b.bring(ctx, file); err != nil {
			return err
		}
		if clients[kind], err = administrator(name); err != nil {
			return err
		}
	}
	const name = "craton-bench-writes"
	found := samples{}
	for n := range writesOfRun + writesOfRun/10 { // the first ones connect and warm up
		for _, kind := range kinds {
			took, err := write(ctx, clients[kind], name, n)
			if err != nil {
				return fmt.Errorf("etcd %s: %w", kind, err)
			}
			if n >= writesOfRun/10 {
				found.add(writeSample(kind), took.Seconds())
			}
		}
	}
	for sample, values := range found {
		b.samples.add(sample, median(values))
	}
	return nil
}

// write makes a config map, or changes it.
func write(ctx context.Context, client kubernetes.Interface, name string, n int) (time.Duration, error) {
	maps := client.CoreV1().ConfigMaps(metav1.NamespaceDefault)
	object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string]string{"value": strconv.Itoa(n)}}
	began := time.Now()
	var err error
	if n == 0 {
		_, err = maps.Create(ctx, object, metav1.CreateOptions{})
	} else {
		_, err = maps.Update(ctx, object, metav1.UpdateOptions{})
	}
	return time.Since(began), err
}

// administrator is a client of a cluster, through its load balancer.
func administrator(cluster string) (kubernetes.Interface, error) {
	c, err := bootstrap.Open(cluster, bootstrap.Options{})
	if err != nil {
		return nil, err
	}
	kubeconfig, err := c.Kubeconfig()
	if err != nil {
		return nil, err
	}
	config, err := clientcmd.RESTConfigFromKubeConfig(kubeconfig)
	if err != nil {
		return nil, err
	}
	config.QPS, config.Timeout = -1, 20*time.Second
	return kubernetes.NewForConfig(config)
}
