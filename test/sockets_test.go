package test

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"craton.dev/craton/contract"
	"craton.dev/craton/plan"
)

const socketsCluster = "cisockets"

// socket is one of a machine's own network: a pod's network is not the fabric's.
type socket struct {
	machine  plan.Machine
	protocol contract.Protocol
	// local is where it listens or is connected; remote is nothing where it listens. An address
	// that is not specified is all of the machine's.
	local, remote netip.AddrPort
	state         string
	// program holds it, as far as the machine knows.
	program string
}

var programOf = regexp.MustCompile(`users:\(\("([^"]+)"`)

// sockets are those of all machines that others may reach, or that reach others.
func (l *lab) sockets(t *testing.T) (all []socket) {
	t.Helper()
	c := l.open(t)
	for _, m := range c.Plan.Machines {
		var out bytes.Buffer
		if err := c.Platform.Exec(context.Background(), m.Name, []string{"ss", "-Hantup"}, nil, &out, nil); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(out.String()) {
			s, err := readSocket(m, line)
			if err != nil {
				t.Fatal(err)
			}
			if !s.local.Addr().IsLoopback() {
				all = append(all, s)
			}
		}
	}
	return all
}

// readSocket reads a line of ss: protocol, state, two queues, both ends, and who holds it.
func readSocket(m plan.Machine, line string) (s socket, err error) {
	f := strings.Fields(line)
	if len(f) < 6 {
		return s, fmt.Errorf("ss on %s says %q", m.Name, line)
	}
	s = socket{machine: m, protocol: contract.Protocol(f[0]), state: f[1], program: "nobody who is known"}
	if s.local, err = address(f[4]); err != nil {
		return s, err
	}
	if !strings.HasSuffix(f[5], ":*") {
		if s.remote, err = address(f[5]); err != nil {
			return s, err
		}
	}
	if found := programOf.FindStringSubmatch(line); found != nil {
		s.program = found[1]
	}
	return s, nil
}

func address(text string) (netip.AddrPort, error) {
	host, port, _ := cutLast(text, ":")
	host, _, _ = strings.Cut(strings.Trim(host, "[]"), "%")
	if host == "*" {
		host = "0.0.0.0"
	}
	a, err := netip.ParseAddrPort("[" + host + "]:" + port)
	if err != nil {
		a, err = netip.ParseAddrPort(host + ":" + port)
	}
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()), err
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// uncovered says which sockets no clause covers, with the program that holds them: one that listens
// where nobody may reach it, and a connection that a rule would have to let through. Connections
// that answer somebody are those of what listens.
func uncovered(p *plan.Plan, sockets []socket) (all []string) {
	// A clause that does not apply here, since a single master has no others, covers it as well.
	names := func(role contract.Role, protocol contract.Protocol, port uint16) bool {
		return slices.ContainsFunc(contract.Clauses(), func(c contract.Clause) bool {
			if c.Role != role || c.Kind != contract.Ingress || !slices.Contains(c.Protocols, protocol) && !slices.Contains(c.Protocols, contract.Any) {
				return false
			}
			if c.PortFrom != "" {
				return port == p.Network.APIPort
			}
			// All ports of workers to masters are named nowhere.
			return c.Ports[0] != (contract.PortRange{First: 1, Last: 65535}) &&
				slices.ContainsFunc(c.Ports, func(r contract.PortRange) bool { return r.First <= port && port <= r.Last })
		})
	}
	listens := map[string]bool{}
	for _, s := range sockets {
		if s.state == "LISTEN" || s.state == "UNCONN" {
			listens[fmt.Sprint(s.machine.Name, s.protocol, s.local.Port())] = true
			if !names(s.machine.Role, s.protocol, s.local.Port()) {
				all = append(all, fmt.Sprintf("%s on %s listens on %s %s: no clause names that port", s.program, s.machine.Name, s.protocol, s.local))
			}
		}
	}
	for _, s := range sockets {
		inside := p.Network.Pods.Contains(s.remote.Addr()) || p.Network.Services.Contains(s.remote.Addr()) || s.remote.Addr().IsLoopback()
		if !s.remote.IsValid() || inside || s.state != "ESTAB" && s.state != "SYN-SENT" || listens[fmt.Sprint(s.machine.Name, s.protocol, s.local.Port())] {
			continue
		}
		if ok, _ := p.Allows(s.machine.Address, s.remote.Addr(), s.protocol, s.remote.Port()); !ok {
			all = append(all, fmt.Sprintf("%s on %s connects to %s %s (%s): no clause lets it", s.program, s.machine.Name, s.protocol, s.remote, s.state))
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// TestSockets looks at a cluster with all parts on.
func TestSockets(t *testing.T) {
	needHost(t)
	l := newReadyLab(t, socketsCluster, 1, 1, "options: {ingress: true, console: true, signIn: true, nodeExporter: true, cAdvisor: true, metricsServer: true, prometheus: true, readOnlyPort: true}")
	testSockets(t, l)
}

// testSockets protects the contract from a component that listens, or connects, where no clause
// says so: it would work till the rules are looked at, or stand in the way of somebody's own.
// What is there at one moment only, such as a question to the resolver, is no service.
func testSockets(t *testing.T, l *lab) {
	p := l.plan(t)
	lasting := func() (all []string) {
		first := uncovered(p, l.sockets(t))
		time.Sleep(500 * time.Millisecond)
		for _, one := range uncovered(p, l.sockets(t)) {
			if slices.Contains(first, one) {
				all = append(all, one)
			}
		}
		return all
	}
	for _, one := range lasting() {
		t.Error(one)
	}
	// It is seen where there is one.
	worker := p.OfRole(contract.Worker)[0]
	at := l.port(t, p, l.peers(t)[user], p.OfRole(contract.Master)[0], false, nil)
	if got := strings.Join(lasting(), "\n"); !strings.Contains(got, at.String()) {
		t.Errorf("somebody listens on %s, which no clause opens, but is not named:\n%s", at, got)
	}
	away := netip.AddrPortFrom(at.Addr(), at.Port())
	done := make(chan bool)
	go func() {
		defer close(done)
		if c, err := l.dialWithin(t, worker.Name, away, 3*time.Second); err == nil {
			c.Close()
		}
	}()
	time.Sleep(200 * time.Millisecond)
	if got := strings.Join(lasting(), "\n"); !strings.Contains(got, "on "+worker.Name+" connects to tcp "+away.String()) {
		t.Errorf("%s connects to %s, which no clause opens, but is not named:\n%s", worker.Name, away, got)
	}
	<-done
}
