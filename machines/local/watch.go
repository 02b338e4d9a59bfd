package local

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"craton.dev/craton/contract"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/dns"
)

// Without a load balancer, names lead to several machines. Somebody has to see that one of
// them is dead and take it out of the answer, as the health checks of a DNS service in a
// cloud do. Here that is the gateway, from where users are.

const (
	// askEvery and answerWithin bound how long a dead machine stays in an answer: together
	// with the resolver's own quarter of a second (package dns) a second and a bit, and then a
	// record's time to live. Its connections end askEvery later, and their clients, if they
	// use client-go, try again a second after that.
	askEvery     = 300 * time.Millisecond
	answerWithin = 600 * time.Millisecond
)

// asked is an address that is asked again and again whether it answers.
type asked struct {
	Address netip.AddrPort `json:"address"`
	// APIServer is the name that its certificate has to have, where it is an API server:
	// then its own word that it is ready counts. Of anybody else it is enough that he takes
	// a connection.
	APIServer string `json:"apiServer,omitempty"`
}

// askedOf are the addresses about which there is a choice: those of names that lead to
// several machines.
func askedOf(pl *plan.Plan) ([]asked, error) {
	var all []asked
	for _, n := range pl.Names {
		if len(n.Targets) < 2 {
			continue
		}
		port, server := pl.Network.APIPort, pl.Network.APIServer
		if n.Name != pl.Network.APIServer {
			// Workers that run the ingress have it on the same port as infra machines.
			c, ok := contract.ByID("infra.ingress.console")
			if !ok || len(c.Ports) != 1 {
				return nil, fmt.Errorf("the contract has no clause infra.ingress.console with one port")
			}
			port, server = c.Ports[0].First, ""
		}
		for _, t := range n.Targets {
			address, err := netip.ParseAddr(t)
			if err != nil {
				return nil, fmt.Errorf("name %s: %w", n.Name, err)
			}
			all = append(all, asked{netip.AddrPortFrom(address, port), server})
		}
	}
	return all, nil
}

// answering is a plan whose names lead to those only who are not silent. Where all of a
// name's targets are, it keeps them: an answer that may be of no use is better than none,
// and nobody is there before a cluster has started.
func answering(pl plan.Plan, silent map[netip.AddrPort]int) plan.Plan {
	quiet := map[string]bool{}
	for a, times := range silent {
		if times > 0 {
			quiet[a.Addr().String()] = true
		}
	}
	names := slices.Clone(pl.Names)
	for i, n := range names {
		left := slices.DeleteFunc(slices.Clone(n.Targets), func(t string) bool { return quiet[t] })
		if len(left) > 0 {
			names[i].Targets = left
		}
	}
	pl.Names = names
	return pl
}

// watch knows who of the asked is silent.
type watch struct {
	spec *gatewaySpec
	ask  func(context.Context, asked) error

	mu sync.Mutex
	// heard is the number of the last question to somebody whose outcome is known.
	heard map[netip.AddrPort]int
	// silent is how many times in a row somebody has not answered.
	silent map[netip.AddrPort]int
	// ends holds what to do when one falls silent, by him and a number.
	ends map[netip.AddrPort]map[int]func()
	next int
}

func (p *Platform) newWatch(spec *gatewaySpec) (*watch, error) {
	w := &watch{spec: spec, heard: map[netip.AddrPort]int{}, silent: map[netip.AddrPort]int{}, ends: map[netip.AddrPort]map[int]func(){}}
	roots := x509.NewCertPool()
	if len(spec.Asked) > 0 && !roots.AppendCertsFromPEM(spec.APIAuthority) {
		return nil, errors.New("the gateway's specification has no certificate of the API's authority")
	}
	w.ask = func(ctx context.Context, a asked) error {
		if a.APIServer != "" {
			return p.askReady(ctx, a, roots)
		}
		conn, err := p.dialUser(ctx, "tcp", a.Address.String(), answerWithin)
		if err != nil {
			return err
		}
		return conn.Close()
	}
	return w, nil
}

// askReady asks an API server whether it is ready, on a new connection each time: one that
// hangs may still hold an old one.
func (p *Platform) askReady(ctx context.Context, a asked, roots *x509.CertPool) error {
	client := &http.Client{Timeout: answerWithin, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return p.dialUser(ctx, network, address, answerWithin)
		},
		TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: a.APIServer},
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+a.Address.String()+"/readyz", nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s says %s", request.URL, response.Status)
	}
	_, err = io.Copy(io.Discard, io.LimitReader(response.Body, 1<<16))
	return err
}

// begin asks everybody once and writes the names.
func (w *watch) begin(ctx context.Context) error {
	var all sync.WaitGroup
	for _, a := range w.spec.Asked {
		all.Go(func() { w.question(ctx, a, 0) })
	}
	all.Wait()
	return w.writeZone()
}

// run asks everybody again and again, and writes the names when an answer has changed.
// Nobody waits for the answer of another, and a question does not wait for the one before.
func (w *watch) run(ctx context.Context) error {
	if len(w.spec.Asked) == 0 {
		return nil
	}
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	changed := make(chan struct{}, 1)
	for number := 1; ; number++ {
		for _, a := range w.spec.Asked {
			go func() {
				if w.question(ctx, a, number) {
					select {
					case changed <- struct{}{}:
					default: // the names are about to be written anyway
					}
				}
			}()
		}
		for waiting := true; waiting; {
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
				waiting = false
			case <-changed:
				// A full disk is no reason to end the ways into the cluster.
				if err := w.writeZone(); err != nil {
					fmt.Fprintln(os.Stderr, "the resolver's names are not up to date:", err)
					time.AfterFunc(askEvery, func() {
						select {
						case changed <- struct{}{}:
						default:
						}
					})
				}
			}
		}
	}
}

// question asks one of the asked and takes over what comes of it. It tells whether that
// changes the names.
func (w *watch) question(ctx context.Context, a asked, number int) (changed bool) {
	answers := w.ask(ctx, a) == nil
	if ctx.Err() != nil {
		return false // nobody is to blame
	}
	return w.learn(a.Address, number, answers)
}

// cutAfter is how many times in a row somebody is silent before connections to him are
// ended: names and new connections can leave him for a moment at no cost, a connection
// cannot be had back.
const cutAfter = 2

// learn takes over what came of a question. It ends what goes on with one who has become
// silent, where there is somebody else to go to. What came of an earlier question than is
// known already is no news.
func (w *watch) learn(a netip.AddrPort, number int, answers bool) (changed bool) {
	w.mu.Lock()
	if number < w.heard[a] {
		w.mu.Unlock()
		return false
	}
	w.heard[a] = number
	changed = answers != (w.silent[a] == 0)
	w.silent[a]++
	if answers {
		w.silent[a] = 0
	}
	var end []func()
	if w.silent[a] >= cutAfter && w.choice(a) {
		end = slices.Collect(maps.Values(w.ends[a]))
		delete(w.ends, a)
	}
	w.mu.Unlock()
	for _, f := range end {
		f()
	}
	return changed
}

// choice tells whether a loopback port that leads there has another target that answers.
func (w *watch) choice(a netip.AddrPort) bool {
	return slices.ContainsFunc(w.spec.Forward, func(f forward) bool {
		return slices.Contains(f.Targets, a) && slices.ContainsFunc(f.Targets, func(t netip.AddrPort) bool { return w.silent[t] == 0 })
	})
}

// writeZone writes the names as they are now. The resolver reads them again by itself.
func (w *watch) writeZone() error {
	w.mu.Lock()
	pl := answering(w.spec.Names, w.silent)
	w.mu.Unlock()
	zone, err := dns.Zone(&pl)
	if err != nil {
		return err
	}
	return writeFile(w.spec.Zone, zone, 0o644)
}

// order is the targets in the order in which they are tried: each has its turn to be first,
// and those that are silent come last.
func (w *watch) order(targets []netip.AddrPort, turn int) []netip.AddrPort {
	w.mu.Lock()
	defer w.mu.Unlock()
	var first, last []netip.AddrPort
	for i := range targets {
		if t := targets[(turn+i)%len(targets)]; w.silent[t] > 0 {
			last = append(last, t)
		} else {
			first = append(first, t)
		}
	}
	return append(first, last...)
}

// onSilence calls f when the target falls silent, until forget is called.
func (w *watch) onSilence(target netip.AddrPort, f func()) (forget func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	id := w.next
	w.next++
	if w.ends[target] == nil {
		w.ends[target] = map[int]func(){}
	}
	w.ends[target][id] = f
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.ends[target], id)
	}
}
