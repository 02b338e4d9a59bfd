package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"craton.dev/craton/plan"
)

// GatewayCommand is the name of the hidden command that runs Gateway.
const GatewayCommand = "local-gateway"

// gatewaySpec is what the gateway does: loopback ports of the host, each leading to the API or
// the ingress as the user network sees it, and the names that machines leave which do not answer.
type gatewaySpec struct {
	Cluster string    `json:"cluster"`
	Dir     string    `json:"dir"`
	Forward []forward `json:"forward"`
	// Zone is the file of the resolver's names, which the gateway writes, and Names is the
	// part of a plan that says what is in it when everybody answers.
	Zone  string    `json:"zone"`
	Names plan.Plan `json:"names"`
	// Asked are the addresses about which somebody has a choice.
	Asked []asked `json:"asked"`
	// APIAuthority is the certificate of the authority that signs the API's.
	APIAuthority []byte `json:"apiAuthority"`
}

// forward is a loopback port for a purpose. Of its targets, which are as good as each other, one that
// answers gets a connection.
type forward struct {
	Purpose string           `json:"purpose"`
	Port    int              `json:"port"`
	Targets []netip.AddrPort `json:"targets"`
}

// Gateway lets the host's own programs into the user network by loopback ports, keeps the
// resolver's names up to who answers, and writes the fabric's log of drops, till ctx ends.
// The specification is read from r. beside runs beside it, for the cluster of this name.
func Gateway(ctx context.Context, r io.Reader, beside func(ctx context.Context, cluster string)) error {
	var spec gatewaySpec
	if err := json.NewDecoder(r).Decode(&spec); err != nil {
		return fmt.Errorf("read the gateway's specification: %w", err)
	}
	p := &Platform{Cluster: spec.Cluster, Dir: spec.Dir}
	w, err := p.newWatch(&spec)
	if err != nil {
		return err
	}
	// The names are right before anybody hears that the gateway is there.
	if err := w.begin(ctx); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return w.run(ctx) })
	group.Go(func() error {
		beside(ctx, spec.Cluster)
		return nil
	})
	for _, f := range spec.Forward {
		listener, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(f.Port)))
		if err != nil {
			return fmt.Errorf("loopback port %d for the %s at %s: %w", f.Port, f.Purpose, f.Targets, err)
		}
		context.AfterFunc(ctx, func() { listener.Close() })
		group.Go(func() error { return p.serve(ctx, listener, w, f.Targets) })
	}
	group.Go(func() error {
		log, err := os.OpenFile(p.dropLog(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			return err
		}
		defer log.Close()
		return p.logDrops(ctx, log)
	})
	return group.Wait()
}

func (p *Platform) serve(ctx context.Context, l net.Listener, w *watch, targets []netip.AddrPort) error {
	for turn := 0; ; turn++ {
		conn, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			if errors.Is(err, net.ErrClosed) {
				return err
			}
			time.Sleep(50 * time.Millisecond) // out of files: others have to end first
			continue
		}
		go func() {
			defer conn.Close()
			far, target, err := p.dialOne(ctx, w.order(targets, turn))
			if err != nil {
				return // closed: the client sees that nobody is there
			}
			defer far.Close()
			// A client on a connection to somebody who has fallen silent would go on waiting.
			defer w.onSilence(target, func() { conn.Close(); far.Close() })()
			splice(conn.(*net.TCPConn), far.(*net.TCPConn))
		}()
	}
}

// dialOne connects to the first target that takes the connection. Where there is another
// one, none gets longer than for an answer.
func (p *Platform) dialOne(ctx context.Context, targets []netip.AddrPort) (conn net.Conn, target netip.AddrPort, err error) {
	limit := 10 * time.Second
	if len(targets) > 1 {
		limit = answerWithin
	}
	for _, target = range targets {
		if conn, err = p.dialUser(ctx, "tcp", target.String(), limit); err == nil {
			return conn, target, nil
		}
	}
	return nil, target, err
}

// splice copies both ways, and passes on each side's end of sending.
func splice(a, b *net.TCPConn) {
	done := make(chan struct{})
	go func() {
		io.Copy(a, b)
		a.CloseWrite()
		close(done)
	}()
	io.Copy(b, a)
	b.CloseWrite()
	<-done
}

// Dial implements machines.Platform. The address has to be numeric.
func (p *Platform) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return p.dialUser(ctx, network, address, 10*time.Second)
}

func (p *Platform) dialUser(ctx context.Context, network, address string, limit time.Duration) (net.Conn, error) {
	return p.DialFrom(ctx, userNS, network, address, limit)
}

// DialFrom connects from a place in the cluster's network: a machine, which need not run,
// or a part of the surroundings. The address has to be numeric.
func (p *Platform) DialFrom(ctx context.Context, place, network, address string, limit time.Duration) (net.Conn, error) {
	return p.dialFrom(place, func() (net.Conn, error) {
		d := net.Dialer{Timeout: limit, KeepAlive: 15 * time.Second}
		return d.DialContext(ctx, network, address)
	})
}
