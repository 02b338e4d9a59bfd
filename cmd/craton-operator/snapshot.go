package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"time"

	"craton.dev/craton/operate/etcd"
)

// snapshotCommand is the first argument that makes this program copy etcd's data.
const snapshotCommand = "snapshot-etcd"

// snapshotTime is how long the copy of one member's data may take: etcd's limit of 8 GiB over
// a slow network.
const snapshotTime = 30 * time.Minute

// snapshotEtcd writes the data to stdout and then, as one line of JSON on stderr, what they
// are: a snapshot.Copy.
func snapshotEtcd(ctx context.Context, args []string) error {
	var secure etcd.TLS
	flags := flag.NewFlagSet(snapshotCommand, flag.ExitOnError)
	endpoint := flags.String("endpoint", "", "the client `URL` of the member whose data are copied")
	flags.StringVar(&secure.CA, "ca", "", "the `file` of etcd's authority")
	flags.StringVar(&secure.Cert, "cert", "", "the `file` of the certificate to show to etcd")
	flags.StringVar(&secure.Key, "key", "", "the `file` of its key")
	flags.Parse(args) // ends the program where it fails
	if *endpoint == "" || flags.NArg() > 0 {
		flags.Usage()
		os.Exit(2)
	}
	client, err := etcd.Client(secure, *endpoint)
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, snapshotTime)
	defer cancel()
	taken, err := etcd.Snapshot(ctx, client, os.Stdout)
	if err != nil {
		return err
	}
	line, err := json.Marshal(taken)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(os.Stderr, "%s\n", line)
	return err
}
