package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"syscall"

	"github.com/go-logr/logr"

	"craton.dev/craton/operate/etcd"
)

// joinCommand is the first argument that makes this program prepare a master's etcd rather
// than run the controllers.
const joinCommand = "join-etcd"

// joinEtcd becomes the program after "--" when etcd may start. See etcd.Join.
func joinEtcd(ctx context.Context, log logr.Logger, args []string) error {
	o := etcd.Options{Log: log}
	flags := flag.NewFlagSet(joinCommand, flag.ExitOnError)
	others := flags.String("others", "", "the other masters' client `URLs`, with commas between")
	flags.StringVar(&o.Cluster, "cluster", "", "the cluster's `name`")
	flags.StringVar(&o.Name, "name", "", "the machine's `name`")
	flags.BoolVar(&o.First, "first", false, "this machine may start the cluster")
	flags.StringVar(&o.DataDir, "data-dir", "", "etcd's data `directory`")
	flags.StringVar(&o.Manifest, "manifest", "", "the `file` by which the kubelet runs a temporary member: it is removed when the others have removed the member")
	flags.StringVar(&o.Out, "out", "", "the `file` of etcd's configuration")
	flags.StringVar(&o.Server.ClientURL, "client-url", "", "the `URL` where the member listens for clients")
	flags.StringVar(&o.PeerURL, "peer-url", "", "the `URL` where it listens for the other members")
	flags.StringVar(&o.Server.MetricsURL, "metrics-url", "", "the `URL` of its health and metrics, on loopback")
	flags.StringVar(&o.TLS.CA, "ca", "", "the `file` of etcd's authority")
	flags.StringVar(&o.Server.Cert, "cert", "", "the `file` of the member's certificate, which it also shows to the others as a client")
	flags.StringVar(&o.Server.Key, "key", "", "the `file` of its key")
	flags.StringVar(&o.Server.PeerCert, "peer-cert", "", "the `file` of the certificate that it shows to its peers")
	flags.StringVar(&o.Server.PeerKey, "peer-key", "", "the `file` of its key")
	flags.Parse(args) // ends the program where it fails
	if flags.NArg() == 0 {
		fmt.Fprintln(os.Stderr, "expected etcd's own command after --")
		flags.Usage()
		os.Exit(2)
	}
	o.Server.CA, o.TLS.Cert, o.TLS.Key = o.TLS.CA, o.Server.Cert, o.Server.Key
	if *others != "" {
		o.Endpoints = strings.Split(*others, ",")
	}
	if err := etcd.Lock(ctx, o.DataDir, log); err != nil {
		return fmt.Errorf("prepare etcd on %s: %w", o.Name, err)
	}
	result, err := etcd.Join(ctx, o)
	if err != nil {
		return fmt.Errorf("prepare etcd on %s: %w", o.Name, err)
	}
	if result.How == etcd.Ended {
		<-ctx.Done() // the kubelet is about to end this pod
		return nil
	}
	log.Info("etcd may start", "member", result.How)
	return fmt.Errorf("run %s: %w", flags.Arg(0), syscall.Exec(flags.Arg(0), flags.Args(), os.Environ()))
}
