package haproxy_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"craton.dev/craton/command"
	"craton.dev/craton/golden"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/haproxy"
	"craton.dev/craton/render/internal/example"
)

const caFile = "/etc/haproxy/ca.crt"

// TestConfig protects the text, and that the real haproxy takes it.
func TestConfig(t *testing.T) {
	for _, c := range []struct {
		golden            string
		readOnly, ingress bool
	}{{"ha.cfg", false, false}, {"read-only-port.cfg", true, false}, {"ingress.cfg", false, true}} {
		t.Run(c.golden, func(t *testing.T) {
			p := example.Plan(t, 3, 2)
			p.File.Options.ReadOnlyPort, p.File.Options.Ingress = c.readOnly, c.ingress
			if c.ingress {
				var err error
				if p, err = plan.Make(p.File); err != nil {
					t.Fatal(err)
				}
			}
			got, err := haproxy.Config(p, haproxy.Options{CAFile: caFile})
			if err != nil {
				t.Fatal(err)
			}
			golden.Check(t, c.golden, got)
			if err := check(t, got); err != nil {
				t.Error(err)
			}
			if err := check(t, bytes.Replace(got, []byte("mode tcp"), []byte("mode tpc"), 1)); err == nil {
				t.Error("haproxy takes a mode that is none: the check checks nothing")
			}
		})
	}
}

// check asks the real haproxy, which reads the authority's file as well.
func check(t *testing.T, config []byte) error {
	t.Helper()
	dir := t.TempDir()
	ca := filepath.Join(dir, "ca.crt")
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	authority := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true}
	der, err := x509.CreateCertificate(rand.Reader, authority, authority, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "haproxy.cfg")
	if err := os.WriteFile(file, bytes.ReplaceAll(config, []byte(caFile), []byte(ca)), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = command.Run(context.Background(), "haproxy", "-c", "-q", "-f", file)
	return err
}

// TestNoLoadBalancer protects that a plan without one is refused with the way out.
func TestNoLoadBalancer(t *testing.T) {
	p := example.Plan(t, 1, 1)
	p.Network.LoadBalancer = netip.Addr{}
	if _, err := haproxy.Config(p, haproxy.Options{CAFile: caFile}); err == nil || !strings.Contains(err.Error(), "loadBalancer") {
		t.Errorf("%v: expected an error that names the field loadBalancer", err)
	}
}
