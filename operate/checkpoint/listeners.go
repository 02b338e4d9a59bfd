package checkpoint

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"os"
	"strings"
)

// listeners counts the sockets that listen on an address of this machine. A real API server
// and a stand-in share one: an answer from there does not tell which of them gave it, so
// that the real one counts as ready only when both listen and all answers are good.
func listeners(address netip.AddrPort) (int, error) {
	f, err := os.Open("/proc/net/tcp")
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return countListeners(f, address)
}

// countListeners reads the kernel's table of IPv4 sockets: the local address, in the
// machine's byte order, is the second field, the state the fourth; 0A is "listen".
func countListeners(table io.Reader, address netip.AddrPort) (count int, err error) {
	if !address.Addr().Is4() {
		return 0, fmt.Errorf("%s is no IPv4 address", address)
	}
	ip := address.Addr().As4()
	want := fmt.Sprintf("%08X:%04X", binary.NativeEndian.Uint32(ip[:]), address.Port())
	lines := bufio.NewScanner(table)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) > 3 && fields[1] == want && fields[3] == "0A" {
			count++
		}
	}
	return count, lines.Err()
}

// addressOf is where a URL leads, which has to be an address and not a name.
func addressOf(base string) (netip.AddrPort, error) {
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "https" || u.Path != "" && u.Path != "/" {
		return netip.AddrPort{}, fmt.Errorf("%q: expected https://ADDRESS:PORT", base)
	}
	host := u.Host
	if u.Port() == "" {
		host += ":443"
	}
	a, err := netip.ParseAddrPort(host)
	if err != nil {
		return a, fmt.Errorf("%q: expected https://ADDRESS:PORT: %w", base, err)
	}
	return a, nil
}
