package local

import (
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"craton.dev/craton/contract"
	"craton.dev/craton/plan"
)

// A port that somebody else has taken since it was chosen must be refused with who has it
// and the file to remove; one that is free must not be.
func TestPortFree(t *testing.T) {
	p := &Platform{Dir: t.TempDir()}
	port, err := p.loopbackPort("api")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := p.loopbackPort("api"); err != nil || again != port {
		t.Errorf("the port was %d and is %d, %v", port, again, err)
	}
	if err := p.portFree("api", port); err != nil {
		t.Errorf("nobody has it: %v", err)
	}
	if pid := portOwner(port); pid != 0 {
		t.Errorf("nobody has it, but it is said to be %d's", pid)
	}
	for _, address := range []string{"127.0.0.1", ""} { // "" also takes it, for all addresses
		l, err := net.Listen("tcp", net.JoinHostPort(address, fmt.Sprint(port)))
		if err != nil {
			t.Fatal(err)
		}
		err = p.portFree("api", port)
		for _, want := range []string{fmt.Sprint(port), fmt.Sprintf("process %d (", os.Getpid()), p.portFile("api"), "craton up"} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("taken on %q: %v lacks %q", address, err, want)
			}
		}
		l.Close()
	}
}

// What was started and has ended must be noticed and named; what runs, and what was
// stopped, must not.
func TestEnded(t *testing.T) {
	for _, c := range []struct{ process, want string }{
		{processMachine + "x-worker-1", "machine x-worker-1 has ended"},
		{processRegistry, "the registry has ended"},
	} {
		t.Run(c.process, func(t *testing.T) {
			p := &Platform{Dir: t.TempDir()}
			if err := os.MkdirAll(p.path("machines", "x-worker-1"), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := p.Ended(); err != nil {
				t.Errorf("nothing was started: %v", err)
			}
			if err := p.start(c.process, "", []string{"sleep", "60"}, nil); err != nil {
				t.Fatal(err)
			}
			proc := p.process(c.process)
			t.Cleanup(func() { proc.stop(0) })
			if err := p.Ended(); err != nil {
				t.Errorf("it runs: %v", err)
			}
			syscall.Kill(proc.pid(), syscall.SIGKILL)
			for end := time.Now().Add(5 * time.Second); proc.alive() && time.Now().Before(end); {
				time.Sleep(time.Millisecond)
			}
			if err := p.Ended(); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), ".log") {
				t.Errorf("it was killed: %v", err)
			}
			if err := proc.stop(0); err != nil {
				t.Fatal(err)
			}
			if err := p.Ended(); err != nil {
				t.Errorf("it was stopped: %v", err)
			}
		})
	}
}

// Machines for which there is no disk are refused with what is free and what is needed; a
// disk that is made already is not needed again.
func TestNeed(t *testing.T) {
	p := &Platform{Dir: t.TempDir()}
	one := plan.Machine{Name: "x-master-1", Role: contract.Master}
	two := plan.Machine{Name: "x-worker-1", Role: contract.Worker}
	all := ShareOf(contract.Master).Disk + ShareOf(contract.Worker).Disk + KeepFree
	if need := p.Need([]plan.Machine{one, two}); need != all {
		t.Errorf("two machines need %d, want %d", need, all)
	}
	if err := os.MkdirAll(p.path("machines", one.Name, "upper"), 0o700); err != nil {
		t.Fatal(err)
	}
	if need := p.Need([]plan.Machine{one, two}); need != all-ShareOf(contract.Master).Disk {
		t.Errorf("one of two machines has a disk, but they need %d", need)
	}
	if err := p.Room(nil); err != nil {
		t.Errorf("no machine: %v", err)
	}
	many := make([]plan.Machine, 1<<14)
	for i := range many {
		many[i] = plan.Machine{Name: fmt.Sprint("x-worker-", i+2), Role: contract.Worker}
	}
	err := p.Room(many)
	if err == nil || !strings.Contains(err.Error(), "more machines need about") {
		t.Errorf("no host has room for %d machines: %v", len(many), err)
	}
}

// Where anything of the cluster was ever started, the names are the cluster's: a network of
// an older craton must still be removed. Where nothing was, they are not.
func TestClaimed(t *testing.T) {
	p := &Platform{Cluster: "no-such-cluster", Dir: t.TempDir()}
	if p.claimed() {
		t.Error("claimed before anything was made")
	}
	if err := p.Foreign(); err != nil {
		t.Errorf("nobody has such names: %v", err)
	}
	if err := p.claim(); err != nil || !p.claimed() {
		t.Errorf("claimed: %t, %v", p.claimed(), err)
	}
	old := &Platform{Cluster: "no-such-cluster", Dir: t.TempDir()}
	if err := os.MkdirAll(old.path("log"), 0o700); err != nil || !old.claimed() {
		t.Errorf("a cluster with a log is not claimed (%v)", err)
	}
}
