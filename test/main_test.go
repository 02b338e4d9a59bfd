// Package test brings real clusters up on this host with the built programs, as a person
// would: it uses them, changes them, kills `craton up`, powers machines off, and looks
// whether the host is afterwards as it was. It needs root and some minutes.
//
// It does not test what a package can test by itself: rules are tried port by port beside
// their renderer, files and plans in their own packages.
package test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"craton.dev/craton/command"
	"craton.dev/craton/payload"
)

// The clusters of these tests. Another cluster on the same host is left alone.
const (
	mainCluster  = "citest"
	killCluster  = "cikill"
	cloudCluster = "cicloud"

	mastersCluster = "cimasters"
	signInCluster  = "cisignin"

	troubleCluster  = "citrouble"
	servicesCluster = "ciservices"
)

var ours = []string{mainCluster, killCluster, cloudCluster, troubleCluster, infraCluster, externalCluster, recoverCluster, mastersCluster, selfHostedCluster, signInCluster, servicesCluster, ingressCluster, optionsCluster, socketsCluster, sabotageCluster, examplesCluster}

// craton is the program under test.
var craton string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "craton-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	craton = filepath.Join(dir, "craton")
	return m.Run()
}

// needHost ends the test where this host cannot run it. A test that is passed over in
// silence would look like one that has passed, so only -short does so.
func needHost(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("real clusters take root and some minutes: -short leaves them out")
	}
	if os.Geteuid() != 0 {
		t.Fatal("real clusters need root: run this with sudo, or with -short to leave them out")
	}
	for _, dir := range []string{filepath.Dir(craton)} {
		// All programs side by side, as an installation has them: the payload takes these.
		build := command.Cmd{Name: "go", Args: []string{"build", "-buildvcs=false", "-ldflags", "-s -w", "-o", dir + "/", "./cmd/..."},
			Dir: "..", Env: []string{"CGO_ENABLED=0"}, Timeout: 10 * time.Minute}
		if _, err := build.Run(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := payload.Build(context.Background(), payload.Options{Want: []string{"agnhost"}}); err != nil {
		t.Fatal(err)
	}
}
