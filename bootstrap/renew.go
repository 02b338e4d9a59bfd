package bootstrap

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	_ "embed"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"craton.dev/craton/pki"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/firstboot"
)

// renewScript is what is done on a master whose certificates are renewed.
//
//go:embed renew.sh
var renewScript string

// renewCertificates brings masters what was issued anew: makeSecrets does so once two thirds
// of a certificate's life are over, and a machine is given its files at its first boot only.
// It is done before the API is asked for anything: where certificates have ended, there is
// none till they are replaced.
func (c *Cluster) renewCertificates(ctx context.Context) error {
	running, err := c.runningMasters(ctx)
	if err != nil {
		return err
	}
	changed := map[string][]firstboot.File{}
	var renew []plan.Machine
	for _, m := range running {
		files, err := firstboot.MasterSecrets(c.Plan, m.Name, c.Secrets)
		if err != nil {
			return err
		}
		differ, err := c.changedFiles(ctx, m, files)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil { // what is wrong with it is found later, and no reason to stop here
			c.opt.say("%v", err)
			continue
		}
		if len(differ) > 0 {
			changed[m.Name], renew = differ, append(renew, m)
		}
	}
	if len(renew) == 0 {
		return nil
	}
	// One after another, so that the others go on meanwhile. Where all have ended there is
	// nothing to keep up, and none can be ready before most have theirs.
	atOnce := len(renew)
	if c.anyServes(ctx, running) {
		atOnce = 1
	}
	for group := range slices.Chunk(renew, atOnce) {
		for _, m := range group {
			c.opt.say("renewing %d files with certificates on %s", len(changed[m.Name]), m.Name)
			if err := c.ReplaceSecrets(ctx, m, changed[m.Name]); err != nil {
				return err
			}
		}
		for _, m := range group {
			if err := c.awaitOwnAPI(ctx, m, renewPatience); err != nil && ctx.Err() != nil {
				return err
			}
		}
	}
	return nil
}

// joined is there once a machine's kubelet has been let into the cluster.
const joined = firstboot.KubeletPKIDir + "/kubelet-client-current.pem"

// renewPatience is far longer than a control plane takes to start.
const renewPatience = 40 * time.Second

// changedFiles are those of the files that the machine has with other contents. What it does
// not have, its first boot brings.
func (c *Cluster) changedFiles(ctx context.Context, m plan.Machine, files []firstboot.File) ([]firstboot.File, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	var sums, out bytes.Buffer
	for _, f := range files {
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(f.Contents), f.Path)
	}
	if err := said(c.Platform.Exec(ctx, m.Name, []string{"sh", "-c", renewScript, "sh", "differing", joined}, &sums, &out, nil)); err != nil {
		return nil, fmt.Errorf("%s: compare its certificates: %w", m.Name, err)
	}
	paths := strings.Fields(out.String())
	return slices.DeleteFunc(files, func(f firstboot.File) bool { return !slices.Contains(paths, f.Path) }), nil
}

// ReplaceSecrets puts files in the place of a master's, all once all are there, and starts the
// programs of its control plane again, which is how they get to see them.
func (c *Cluster) ReplaceSecrets(ctx context.Context, m plan.Machine, files []firstboot.File) error {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, f := range files {
		err := w.WriteHeader(&tar.Header{Name: strings.TrimPrefix(f.Path, "/"), Mode: int64(f.Mode), Size: int64(len(f.Contents)), ModTime: time.Now()})
		if err != nil {
			return err
		}
		if _, err := w.Write(f.Contents); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	// The keys go by the command's input: arguments can be read by others.
	if err := said(c.Platform.Exec(ctx, m.Name, []string{"sh", "-c", renewScript, "sh", "replace"}, &archive, nil, nil)); err != nil {
		return fmt.Errorf("%s: replace its certificates: %w", m.Name, err)
	}
	return nil
}

// awaitOwnAPI waits until a master's own API server is ready, with a certificate of the
// cluster's authority that is valid.
func (c *Cluster) awaitOwnAPI(ctx context.Context, m plan.Machine, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		err := c.askOwnAPI(ctx, m)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: its API server is not ready: %w", m.Name, err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// anyServes tells whether one of the masters' own API servers is ready.
func (c *Cluster) anyServes(ctx context.Context, masters []plan.Machine) bool {
	var ready atomic.Bool
	var all sync.WaitGroup
	for _, m := range masters {
		all.Go(func() {
			if c.askOwnAPI(ctx, m) == nil {
				ready.Store(true)
			}
		})
	}
	all.Wait()
	return ready.Load()
}

// askOwnAPI asks a master's own API server once whether it is ready.
func (c *Cluster) askOwnAPI(ctx context.Context, m plan.Machine) error {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(c.Secrets.Authorities[pki.KubernetesCA].Cert)
	client := &http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return c.Platform.DialFrom(ctx, m.Name, network, address, 2*time.Second)
		},
	}}
	url := "https://" + netip.AddrPortFrom(m.Address, c.Plan.Network.APIPort).String() + "/readyz"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, answer.Status)
	}
	return nil
}
