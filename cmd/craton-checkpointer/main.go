// Command craton-checkpointer lets a master's control plane come back by itself: see
// package checkpoint. It runs on masters; it is no part of the craton command.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"craton.dev/craton/contract"
	"craton.dev/craton/operate/checkpoint"
	"craton.dev/craton/operate/footprint"
)

// clauseMaster says what a master's Node is labelled with.
const clauseMaster = "master.machine.kubelet"

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "craton-checkpointer:", err)
		os.Exit(1)
	}
}

func run() error {
	var o checkpoint.Options
	var names []string
	flags := flag.NewFlagSet("craton-checkpointer", flag.ExitOnError)
	for _, f := range []struct {
		value      *string
		name, what string
	}{
		{&o.Node, "node", "this machine's `name`"},
		{&o.APIOwn, "api-own", "this machine's own API server, https://`ADDRESS:PORT`"},
		{&o.API, "api", "the API by its name, https://`NAME:PORT`"},
		{&o.CA, "ca", "the `file` with the certificate of the API's authority"},
		{&o.Certificates, "certificates", "the kubelet's `folder` of certificates; its own is shown to the API"},
		{&o.Runtime, "runtime", "the `path` of the container runtime's socket"},
		{&o.Manifests, "manifests", "the kubelet's `folder` of static pods"},
		{&o.Checkpoints, "checkpoints", "the `folder` of checkpoints"},
		{&o.Healthz, "healthz", "the `address` of /healthz, on loopback"},
	} {
		flags.StringVar(f.value, f.name, "", f.what)
		names = append(names, f.name)
	}
	flags.StringVar(&o.EtcdData, "etcd-data", "", "the `path` that is there once this machine has data of a self-hosted etcd; where it is given, etcd is looked after too")
	flags.Parse(os.Args[1:]) // ends the program where it fails
	for _, name := range names {
		if flags.Lookup(name).Value.String() == "" {
			fmt.Fprintf(os.Stderr, "craton-checkpointer: --%s is missing\n", name)
			flags.Usage()
			os.Exit(2)
		}
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "craton-checkpointer: %q is no flag\n", flags.Arg(0))
		os.Exit(2)
	}
	clause, ok := contract.ByID(clauseMaster)
	if !ok || len(clause.Labels) != 1 {
		return fmt.Errorf("the contract has no clause %s with one label", clauseMaster)
	}
	o.MasterLabel, _, _ = strings.Cut(clause.Labels[0], "=")
	o.Log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	go footprint.Keep(ctx, footprint.Mapping)
	return checkpoint.Run(ctx, o)
}
