package main

import (
	"flag"
	"fmt"
	"os"

	"craton.dev/craton/operate/etcd"
)

// commitCommand is the first argument that makes this program prepare a copy of the data of the
// last member of etcd.
const commitCommand = "commit-etcd-log"

// commitEtcdLog is etcd.CommitLog.
func commitEtcdLog(args []string) error {
	flags := flag.NewFlagSet(commitCommand, flag.ExitOnError)
	dir := flags.String("data-dir", "", "the `folder` of a copy of etcd's data")
	flags.Parse(args) // ends the program where it fails
	if *dir == "" || flags.NArg() > 0 {
		flags.Usage()
		os.Exit(2)
	}
	last, err := etcd.CommitLog(*dir)
	if err != nil {
		return err
	}
	_, err = fmt.Printf("committed up to entry %d\n", last)
	return err
}
