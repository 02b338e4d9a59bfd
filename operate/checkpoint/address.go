package checkpoint

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
)

// realOf is where the real API server is asked on the machine whose API is this. A stand-in
// listens on the address in there, and takes all connections to it.
func realOf(own string) (string, error) {
	u, err := url.Parse(own)
	if err != nil || u.Scheme != "https" || u.Path != "" && u.Path != "/" {
		return "", fmt.Errorf("%q: expected https://ADDRESS:PORT", own)
	}
	host := u.Host
	if u.Port() == "" {
		host += ":443"
	}
	a, err := netip.ParseAddrPort(host)
	if err != nil {
		return "", fmt.Errorf("%q: expected https://ADDRESS:PORT: %w", own, err)
	}
	return "https://" + net.JoinHostPort(realServer, strconv.Itoa(int(a.Port()))), nil
}
