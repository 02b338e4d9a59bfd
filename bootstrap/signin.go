package bootstrap

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"k8s.io/client-go/rest"

	"craton.dev/craton/pki"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/manifests"
	"craton.dev/craton/render/part"
	"craton.dev/craton/render/part/dex"
	"craton.dev/craton/signin"
	"craton.dev/craton/signin/trust"
)

// Password is a new user's, in the clear: it is shown once, and kept nowhere.
type Password struct{ Name, Password, hash string }

// firstAdministrator makes a password where there is to be such a user and none has been shown.
// What was made by a run that did not get to show it is of no use to anybody, so the next run
// makes another.
func (c *Cluster) firstAdministrator() error {
	if f := c.Plan.File; !f.Options.SignIn || !f.SignIn.FirstAdministrator || c.Secrets.SignIn.FirstAdministrator != "" {
		return nil
	}
	password, hash, err := pki.NewPassword()
	if err != nil {
		return err
	}
	c.Secrets.SignIn.FirstAdministrator = hash
	c.first = Password{dex.FirstAdministrator(c.Plan), password, hash}
	return nil
}

// FirstPassword is what Up has made, to be shown to whoever ran it; ok is false where it has made
// none. Once it has been shown, ShownFirstPassword keeps Up from making another.
func (c *Cluster) FirstPassword() (p Password, ok bool) { return c.first, c.first.Password != "" }

// ShownFirstPassword keeps the hash of the password that FirstPassword gave.
func (c *Cluster) ShownFirstPassword() error {
	hash := c.first.hash
	c.first = Password{}
	return pki.KeepFirstAdministrator(c.pkiDir(), hash)
}

// trustTime is how long an API server may take to go by a new word on whom it trusts: it looks at
// the file at least once a minute, and at who is named there each ten seconds.
const trustTime = 3 * time.Minute

// inPlace writes stdin into a file that is there, and whose content differs. The API server's pod
// has the file itself, not its name, so it is not replaced; a moment in which it is half written
// is one in which the API server goes on with what it had. A file that is not there comes with
// the machine's first boot.
const inPlace = `set -e
test -e "$1" || exit 0
umask 077
cat >"$1.new"
cmp -s "$1.new" "$1" || cat "$1.new" >"$1"
rm "$1.new"`

// tellMasters brings the API servers' word on whom they trust up to date on the masters that run.
// The API server reads it again by itself.
func (c *Cluster) tellMasters(ctx context.Context) error {
	config, err := manifests.Authentication(c.Plan, c.Secrets.Authorities[pki.KubernetesCA].Cert)
	if err != nil {
		return err
	}
	running, err := c.runningMasters(ctx)
	if err != nil {
		return err
	}
	for _, m := range running {
		if err := c.tell(ctx, m, inPlace, manifests.AuthenticationPath, config, "tell the API server of "+m.Name+" whom to trust"); err != nil {
			return err
		}
	}
	return nil
}

// awaitTrust waits until each master's API server goes by what it was told of whom it is to trust,
// and knows the keys by which Dex signs.
func (c *Cluster) awaitTrust(ctx context.Context) error {
	authentication, err := manifests.Authentication(c.Plan, c.Secrets.Authorities[pki.KubernetesCA].Cert)
	if err != nil {
		return err
	}
	issuer := ""
	if c.Plan.File.Options.SignIn {
		issuer = dex.Issuer(c.Plan)
	}
	running, err := c.runningMasters(ctx)
	if err != nil {
		return err
	}
	for _, m := range running {
		config, err := c.ownAPI(m)
		if err != nil {
			return err
		}
		said := ""
		if err := c.await(ctx, trustTime, 300*time.Millisecond, func(ctx context.Context) (string, error) {
			lacks, err := trust.Lacks(ctx, config, authentication, issuer)
			if err != nil {
				return fmt.Sprintf("ask the API server of %s whom it trusts: %v", m.Name, err), nil // it may be starting
			}
			if lacks == "" {
				return "", nil
			}
			reason := "the API server of " + m.Name + " " + lacks
			if reason != said {
				said = reason
				c.opt.say("waiting: %s", reason)
			}
			return reason, nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// ownAPI reaches the API server of one master, whatever the load balancer thinks of it.
func (c *Cluster) ownAPI(m plan.Machine) (*rest.Config, error) {
	config, err := c.config()
	if err != nil {
		return nil, err
	}
	// Through loopback it is the real one that answers, and not its stand-in.
	config.Host = "https://" + netip.AddrPortFrom(netip.MustParseAddr(part.Loopback), c.Plan.Network.APIPort).String()
	config.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		return c.Platform.DialFrom(ctx, m.Name, network, address, checkTime)
	}
	config.Timeout = checkTime
	return config, nil
}

// SignIn is where people sign in to the cluster, and its API: by their names, or from this host
// by loopback ports. It is an error where nobody signs in.
func (c *Cluster) SignIn(fromHost bool) (signin.API, signin.Place, error) {
	if !c.Plan.File.Options.SignIn {
		return signin.API{}, signin.Place{}, fmt.Errorf("nobody signs in to cluster %s: options.signIn is off in its cluster file", c.Name)
	}
	if c.Secrets == nil {
		if err := c.loadSecrets(); err != nil {
			return signin.API{}, signin.Place{}, err
		}
	}
	n := c.Plan.Network
	ca := c.Secrets.Authorities[pki.KubernetesCA].Cert
	api := signin.API{Server: "https://" + net.JoinHostPort(n.APIServer, strconv.Itoa(int(n.APIPort))), CA: ca}
	place := signin.Place{Issuer: dex.Issuer(c.Plan), Client: dex.Client, CA: ca}
	if fromHost {
		port, err := c.Platform.APIPort()
		if err != nil {
			return api, place, err
		}
		api.Server, api.TLSServerName = "https://"+net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), n.APIServer
		if place.Connect, err = c.consoleFromHost(); err != nil {
			return api, place, err
		}
	}
	return api, place, nil
}

// consoleFromHost is the HOST:PORT at which this host reaches the console's name; "" where no
// ingress is there.
func (c *Cluster) consoleFromHost() (string, error) {
	if _, ok := c.Plan.IngressController(); !ok {
		return "", nil
	}
	port, err := c.Platform.ConsolePort()
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), err
}

// Console is the Console's address, and the HOST:PORT at which this host reaches its name; url is
// "" where nothing leads to a Console.
func (c *Cluster) Console() (url, connect string, err error) {
	if !c.Plan.File.Options.Console {
		return "", "", nil
	}
	connect, err = c.consoleFromHost()
	if connect == "" || err != nil {
		return "", "", err
	}
	return "https://" + c.Plan.Network.Console, connect, nil
}
