// Command craton-operator runs craton's controllers on a master (see package operate). As
// "craton-operator join-etcd" it prepares the start of its etcd, as "craton-operator
// snapshot-etcd" it copies etcd's data, and as "craton-operator commit-etcd-log" it prepares
// a recovery from one member's disk (see package operate/etcd).
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/go-logr/logr"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"

	"craton.dev/craton/operate"
	"craton.dev/craton/operate/footprint"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "craton-operator:", err)
		os.Exit(1)
	}
}

func run() error {
	log := logr.FromSlogHandler(slog.NewTextHandler(os.Stderr, nil))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(os.Args) > 1 && os.Args[1] == joinCommand {
		return joinEtcd(ctx, log, os.Args[2:])
	}
	if len(os.Args) > 1 && os.Args[1] == snapshotCommand {
		return snapshotEtcd(ctx, os.Args[2:])
	}
	if len(os.Args) > 1 && os.Args[1] == commitCommand {
		return commitEtcdLog(os.Args[2:])
	}
	o := operate.Options{Log: log}
	// A set of its own: controller-runtime puts flags that nobody asked for into the common one.
	flags := flag.NewFlagSet("craton-operator", flag.ExitOnError)
	kubeconfig := flags.String("kubeconfig", "", "the kubeconfig `file` by which to reach the API server")
	flags.StringVar(&o.Healthz, "healthz", "", "the `address` of /healthz, for instance 127.0.0.1:10244")
	flags.BoolVar(&o.LeaderElect, "leader-elect", false, "act only as the elected one of several operators")
	flags.StringVar(&o.Etcd.TLS.CA, "etcd-ca", "", "the `file` of etcd's authority; where it is given, its members are looked after")
	flags.StringVar(&o.Etcd.TLS.Cert, "etcd-cert", "", "the `file` of the certificate to show to etcd")
	flags.StringVar(&o.Etcd.TLS.Key, "etcd-key", "", "the `file` of its key")
	flags.IntVar(&o.Etcd.ClientPort, "etcd-client-port", 0, "the `port` where each master's member listens for clients")
	flags.IntVar(&o.Etcd.PeerPort, "etcd-peer-port", 0, "the `port` where it listens for the other members")
	flags.BoolVar(&o.Etcd.Pods, "etcd-pods", false, "the members of etcd are pods, which the operator makes as EtcdCluster kube-system/etcd says")
	flags.Parse(os.Args[1:]) // ends the program where it fails
	if *kubeconfig == "" || flags.NArg() > 0 {
		flags.Usage()
		os.Exit(2)
	}
	var err error
	if o.Config, err = clientcmd.BuildConfigFromFlags("", *kubeconfig); err != nil {
		return fmt.Errorf("--kubeconfig %s: %w", *kubeconfig, err)
	}
	ctrl.SetLogger(o.Log)
	klog.SetLogger(o.Log)
	go footprint.Keep(ctx, footprint.Cache)
	return operate.Run(ctx, o)
}
