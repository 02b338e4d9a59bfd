package checkpoint

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// aliased is an address of the machine that is not the one at which the real server is
// asked, for a stand-in.
const aliased = "127.0.0.3"

// listenAt is a listener as API servers have them, which lets others have the port.
func listenAt(t *testing.T, address string) net.Listener {
	t.Helper()
	share := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
		return err
	}}
	l, err := share.Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// TestRealAlone protects what everything about stand-ins rests on, with real sockets: a real
// server on all addresses and a stand-in on one can begin in either order; as long as both
// are there, the stand-in has all connections to that address, and the checkpointer asks
// the real one alone; when one of them ends, the other has all that come.
func TestRealAlone(t *testing.T) {
	i := newIssuer(t)
	i.kubelet("system:node:m1")
	type server struct {
		f *fakeAPI
		l net.Listener
		s *http.Server
	}
	var servers []*fakeAPI
	serve := func(l net.Listener) server {
		f := startAPI(t, i)
		f.objects[nodePath] = map[string]any{}
		servers = append(servers, f)
		s := &http.Server{Handler: f, TLSConfig: f.server.TLS}
		go s.ServeTLS(l, "", "")
		t.Cleanup(func() { s.Close() })
		return server{f, l, s}
	}
	real := serve(listenAt(t, "0.0.0.0:0"))
	port := netip.MustParseAddrPort(real.l.Addr().String()).Port()
	own := netip.AddrPortFrom(netip.MustParseAddr(aliased), port).String()
	everywhere := netip.AddrPortFrom(netip.IPv4Unspecified(), port).String()
	at, err := realOf("https://" + own)
	if err != nil {
		t.Fatal(err)
	}
	// Whether a client that has the machine's address comes to this server alone.
	answered := func(who server) bool {
		a := newAPI(i, "https://"+own, "https://"+own)
		a.real = "https://" + own
		before := make([]int, len(servers))
		for j, f := range servers {
			f.set(func() { before[j] = len(f.asked) })
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for range 20 {
			a.ways, a.credentials = nil, nil // a connection for each
			a.membership(ctx, "x")
		}
		all, alone := false, true
		for j, f := range servers {
			f.set(func() {
				if f == who.f {
					all = len(f.asked) >= before[j]+20
				} else {
					alone = alone && len(f.asked) == before[j]
				}
			})
		}
		return all && alone
	}
	a := newAPI(i, "https://"+own, "https://"+own)
	a.real, a.timeout = at, askTimeout
	ready := func() bool {
		for range 2 { // the first answer may take too long
			if a.realReady(t.Context()) {
				return true
			}
		}
		return false
	}

	if !answered(real) || !ready() {
		t.Error("a real one alone does not answer")
	}
	standIn := serve(listenAt(t, own))
	if !answered(standIn) || !ready() {
		t.Error("a stand-in that came later does not get the connections, or is asked for the real one")
	}
	standIn.f.set(func() { standIn.f.status = 500 })
	if !ready() {
		t.Error("a stand-in was asked for the real one")
	}
	standIn.f.set(func() { standIn.f.status = 0 })
	real.f.set(func() { real.f.hang = true })
	if !answered(standIn) || ready() {
		t.Error("a real one that hangs gets connections, or is called ready")
	}
	real.s.Close()
	if !answered(standIn) || ready() {
		t.Error("a real one that has ended gets connections, or is called ready")
	}
	real = serve(listenAt(t, everywhere))
	if !answered(standIn) || !ready() {
		t.Error("a real one that came later gets connections, or is not called ready")
	}
	standIn.s.Close()
	if !answered(real) || !ready() {
		t.Error("the stand-in has ended, and the real one does not get the connections")
	}
}

// TestRealOf protects what the flag may be.
func TestRealOf(t *testing.T) {
	for own, want := range map[string]string{
		"https://10.32.0.10:443": "https://127.0.0.1:443", "https://10.32.0.10": "https://127.0.0.1:443", "https://10.32.0.10:6443/": "https://127.0.0.1:6443",
		"https://master:443": "", "http://10.32.0.10:443": "", "10.32.0.10:443": "", "https://10.32.0.10:443/api": "",
	} {
		if got, err := realOf(own); got != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v, want %q", own, got, err, want)
		}
	}
}
