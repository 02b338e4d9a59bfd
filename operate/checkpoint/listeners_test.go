package checkpoint

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestBothServe protects the hand-over on one port with real sockets: as long as one of the
// two does not listen, or one of them hangs, the real pod is not ready.
func TestBothServe(t *testing.T) {
	i := newIssuer(t)
	i.kubelet("system:node:m1")
	share := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
		return err
	}}
	listen := func(address string) net.Listener {
		l, err := share.Listen(t.Context(), "tcp4", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		return l
	}
	serve := func(l net.Listener) *fakeAPI {
		f := startAPI(t, i)
		server := &http.Server{Handler: f, TLSConfig: f.server.TLS}
		go server.ServeTLS(l, "", "")
		t.Cleanup(func() { server.Close() })
		return f
	}
	first := listen("127.0.0.1:0")
	address := netip.MustParseAddrPort(first.Addr().String())
	url := "https://" + address.String()
	one := serve(first)
	o := &observer{own: address, api: newAPI(i, url, url)}
	// By chance all probes may go to the one that is well: not three times.
	both := func() bool {
		for range 3 {
			if !o.bothServe(t.Context()) {
				return false
			}
		}
		return true
	}
	if both() {
		t.Error("only one listens")
	}
	second := listen(address.String())
	if both() {
		t.Error("the second listens, but does not answer")
	}
	two := serve(second)
	if !both() {
		t.Error("both answer")
	}
	two.set(func() { two.status = 500 })
	if both() {
		t.Error("the second is not ready")
	}
	two.set(func() { two.status = 0 })
	one.set(func() { one.hang = true })
	if both() {
		t.Error("the first hangs")
	}
}

// TestCountListeners protects how the kernel's table is read.
func TestCountListeners(t *testing.T) {
	table := `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0A00200A:01BB 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1
   1: 0A00200A:01BB 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2 1
   2: 0A00200A:01BB 0B00200A:9C40 01 00000000:00000000 00:00000000 00000000     0        0 3 1
   3: 0100007F:01BB 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4 1
   4: 0A00200A:01BC 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 5 1
`
	if n, err := countListeners(strings.NewReader(table), netip.MustParseAddrPort("10.32.0.10:443")); n != 2 || err != nil {
		t.Errorf("%d, %v, want 2", n, err)
	}
	if _, err := countListeners(strings.NewReader(table), netip.MustParseAddrPort("[::1]:443")); err == nil {
		t.Error("no error for an address that the table cannot have")
	}
}
