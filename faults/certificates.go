package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"maps"
	"net/netip"
	"time"

	"craton.dev/craton/contract"
	"craton.dev/craton/pki"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/firstboot"
)

// ending gives masters certificates that end so soon, for the keys that they have, and then
// has `craton up` do what it does about that. The clock of the host is nobody's to step: it
// is waited until they have ended, where hold is longer.
func ending(name string, in, hold time.Duration) fault {
	return fault{name: "certificates " + name, hold: hold, outage: hold > in,
		do: func(ctx context.Context, p *play) error {
			end := time.Now().Add(in)
			for _, m := range p.lab.cluster.Plan.Machines {
				files, err := p.lab.endingFiles(m.Name, end)
				if err != nil {
					return err
				}
				if len(files) == 0 {
					continue // no master
				}
				if err := p.lab.cluster.ReplaceSecrets(ctx, m, files); err != nil {
					return err
				}
			}
			return nil
		},
		mend: func(ctx context.Context, p *play) error {
			u, err := p.lab.start(ctx, p.scenario.shape, p.scenario.etcd)
			if err != nil {
				return err
			}
			if err := u.wait(ctx); err != nil {
				return err
			}
			p.row.note(p, "up has ended")
			authority := p.lab.cluster.Secrets.Authorities[plan.KubernetesCA]
			if err := p.lab.open(); err != nil {
				return err
			}
			return p.lab.lasting(ctx, authority)
		},
	}
}

// endingFiles are a master's secrets with certificates that end then; none where the machine
// is no master.
func (l *lab) endingFiles(machine string, end time.Time) ([]firstboot.File, error) {
	secrets := *l.cluster.Secrets
	secrets.Pairs = maps.Clone(secrets.Pairs)
	found := false
	for _, id := range l.cluster.Plan.Identities {
		if id.Machine != machine {
			continue
		}
		found = true
		pair, err := endAt(secrets.Pairs[id.Name], secrets.Authorities[id.CA], end)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", id.Name, err)
		}
		secrets.Pairs[id.Name] = pair
	}
	if !found {
		return nil, nil
	}
	return firstboot.MasterSecrets(l.cluster.Plan, machine, &secrets)
}

// endAt is the same certificate with another end.
func endAt(pair, authority pki.Pair, end time.Time) (pki.Pair, error) {
	own, err := tls.X509KeyPair(pair.Cert, pair.Key)
	if err != nil {
		return pair, err
	}
	ca, err := tls.X509KeyPair(authority.Cert, authority.Key)
	if err != nil {
		return pair, err
	}
	template := *own.Leaf
	template.NotAfter = end
	der, err := x509.CreateCertificate(rand.Reader, &template, ca.Leaf, own.Leaf.PublicKey, ca.PrivateKey)
	if err != nil {
		return pair, err
	}
	return pki.Pair{Cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), Key: pair.Key}, nil
}

// lasting asks each master's API server for its certificate, which has to last.
func (l *lab) lasting(ctx context.Context, authority pki.Pair) error {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(authority.Cert)
	for _, m := range l.cluster.Plan.Machines {
		if m.Role != contract.Master {
			continue
		}
		conn, err := l.dialFrom(m.Name)(ctx, "tcp", netip.AddrPortFrom(m.Address, l.cluster.Plan.Network.APIPort).String())
		if err != nil {
			return err
		}
		c := tls.Client(conn, &tls.Config{RootCAs: pool, ServerName: m.Address.String(), MinVersion: tls.VersionTLS12})
		err = c.HandshakeContext(ctx)
		conn.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", m.Name, err)
		}
		if left := time.Until(c.ConnectionState().PeerCertificates[0].NotAfter); left < 30*24*time.Hour {
			return fmt.Errorf("%s: `craton up` has left a certificate that ends in %s", m.Name, left)
		}
	}
	return nil
}
