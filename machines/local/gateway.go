package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"
)

// GatewayCommand is the name of the hidden command that runs Gateway.
const GatewayCommand = "local-gateway"

// gatewaySpec is what the gateway serves: loopback ports of the host, each leading to an
// address in the cluster, as seen from the user network.
type gatewaySpec struct {
	Cluster string    `json:"cluster"`
	Dir     string    `json:"dir"`
	Forward []forward `json:"forward"`
}

type forward struct {
	Port   int    `json:"port"`
	Target string `json:"target"`
}

// Gateway lets the host's own programs into the user network by loopback ports, and
// writes the fabric's log of drops, till ctx ends. The specification is read from r.
func Gateway(ctx context.Context, r io.Reader) error {
	var spec gatewaySpec
	if err := json.NewDecoder(r).Decode(&spec); err != nil {
		return fmt.Errorf("read the gateway's specification: %w", err)
	}
	p := &Platform{Cluster: spec.Cluster, Dir: spec.Dir}
	group, ctx := errgroup.WithContext(ctx)
	for _, f := range spec.Forward {
		listener, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(f.Port)))
		if err != nil {
			return fmt.Errorf("loopback port %d for %s: %w", f.Port, f.Target, err)
		}
		context.AfterFunc(ctx, func() { listener.Close() })
		group.Go(func() error { return p.serve(ctx, listener, f.Target) })
	}
	group.Go(func() error {
		log, err := os.OpenFile(p.path("log", "drops.json"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			return err
		}
		defer log.Close()
		return p.logDrops(ctx, log)
	})
	return group.Wait()
}

func (p *Platform) serve(ctx context.Context, l net.Listener, target string) error {
	for {
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
			far, err := p.Dial(ctx, "tcp", target)
			if err != nil {
				return // closed: the client sees that nobody is there
			}
			defer far.Close()
			splice(conn.(*net.TCPConn), far.(*net.TCPConn))
		}()
	}
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
	return p.dialFrom(userNS, func() (net.Conn, error) {
		d := net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}
		return d.DialContext(ctx, network, address)
	})
}
