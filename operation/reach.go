package operation

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/miekg/dns"

	"craton.dev/craton/contract"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/part"
)

type check = part.Check

// patience is how long a packet's answer is waited for: a second and a bit, within which the
// kernel sends a first packet that was lost a second time.
const patience = 2500 * time.Millisecond

// place is somewhere in the cluster's network from where probes connect.
type place struct {
	name string
	in   func(func() error) error
}

func (s *Stage) at(namespace string) place {
	return place{namespace, func(f func() error) error { return s.Platform.In(namespace, f) }}
}

// Namespaces of the surroundings, as the platform calls them.
func (s *Stage) user() place     { return s.at("user") }
func (s *Stage) outside() place  { return s.at("outside") }
func (s *Stage) balancer() place { return s.at("balancer") }

// dial connects from the place.
func (p place) dial(ctx context.Context, network, address string) (conn net.Conn, err error) {
	err = p.in(func() error {
		d := net.Dialer{Timeout: patience}
		conn, err = d.DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// client makes a connection of its own for each question.
func (p place) client(config *tls.Config) *http.Client {
	return &http.Client{Timeout: 2 * patience, Transport: &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: config, DialContext: p.dial,
	}}
}

// get asks and returns the body of an answer with status 200.
func (p place) get(ctx context.Context, config *tls.Config, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	answer, err := p.client(config).Do(request)
	if err != nil {
		return "", fmt.Errorf("from %s: %w", p.name, err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 4<<20))
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("from %s: %s answers %s: %.200s", p.name, url, answer.Status, body)
	}
	return string(body), err
}

// lookup asks a DNS server for a name's addresses. A name that does not exist is an answer too.
func (p place) lookup(ctx context.Context, network string, server netip.AddrPort, name string) ([]string, error) {
	conn, err := p.dial(ctx, network, server.String())
	if err != nil {
		return nil, fmt.Errorf("from %s: ask %s over %s: %w", p.name, server, network, err)
	}
	defer conn.Close()
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(name), dns.TypeA)
	c := dns.Conn{Conn: conn}
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	if err := c.WriteMsg(m); err != nil {
		return nil, err
	}
	answer, err := c.ReadMsg()
	if err != nil {
		return nil, fmt.Errorf("from %s: ask %s over %s: %w", p.name, server, network, err)
	}
	if answer.Rcode != dns.RcodeSuccess && answer.Rcode != dns.RcodeNameError {
		return nil, fmt.Errorf("from %s: %s answers %s about %s", p.name, server, dns.RcodeToString[answer.Rcode], name)
	}
	var found []string
	for _, r := range answer.Answer {
		if a, ok := r.(*dns.A); ok {
			found = append(found, a.A.String())
		}
	}
	return found, nil
}

// each does the same for all of some things at once; the error has all that went wrong.
func each[T any](things []T, do func(T) error) error {
	errs := make(chan error, len(things))
	for _, thing := range things {
		go func() { errs <- do(thing) }()
	}
	var all []error
	for range things {
		all = append(all, <-errs)
	}
	return errors.Join(all...)
}

// within ends what does not look at ctx itself when ctx does.
func within(ctx context.Context, do func() error) error {
	done := make(chan error, 1)
	go func() { done <- do() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// until tries again and again till it works or ctx ends; the error is the last one.
func until(ctx context.Context, pause time.Duration, try func() error) error {
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}

// forUsers are the machines on which users' pods run.
func forUsers(p *plan.Plan) []plan.Machine {
	if p.File.SchedulableMasters {
		return p.OfRole(contract.Master, contract.Worker)
	}
	return p.OfRole(contract.Worker)
}
