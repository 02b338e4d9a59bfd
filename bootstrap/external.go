package bootstrap

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync"
	"time"

	"craton.dev/craton/cluster"
	"craton.dev/craton/pki"
)

// An etcd that the user has is asked before a cluster is put on it, or changed: whether it
// is there, is the one that the file's certificates are for, works, and holds no other
// cluster's data. It is asked from a master's place in the network, by the way and under
// the rules that its API server will have.

// dial connects from where the asking is done.
type dial func(ctx context.Context, network, address string) (net.Conn, error)

// checkEtcd asks the external etcd of the plan. It does nothing for other kinds, nor before
// there is a network to ask from.
func (c *Cluster) checkEtcd(ctx context.Context) error {
	e := c.Plan.File.ExternalEtcd
	if e == nil || c.asked {
		return nil
	}
	ca, client, err := pki.ReadExternalEtcd(e)
	if errors.Is(err, os.ErrNotExist) && c.Platform.PlaysEtcd(c.Plan) {
		return nil // it makes these files itself, before it plays
	}
	if err != nil {
		return fmt.Errorf("%w, then run `craton up` again", err)
	}
	from := c.Plan.Machines[0].Name // masters come first
	if !c.Platform.Connected(from) || c.Platform.EtcdRests(c.Plan) {
		return nil // asked once there is a network, and what is played runs
	}
	states, err := c.Platform.States(ctx)
	if err != nil {
		return err
	}
	return c.askEtcd(ctx, e, ca, client, from, len(states) == 0)
}

func (c *Cluster) askEtcd(ctx context.Context, e *cluster.ExternalEtcd, ca, client pki.Pair, from string, empty bool) error {
	c.opt.say("asking the external etcd")
	silent, err := askEtcd(ctx, etcdAsked{
		ExternalEtcd: *e, ca: ca, client: client, mustBeEmpty: empty,
		dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			return c.Platform.DialFrom(ctx, from, network, address, etcdPatience)
		},
	})
	c.asked = err == nil
	for _, s := range silent {
		if err == nil {
			c.opt.say("going on without one of the external etcd's members: %v", s)
		}
	}
	return err
}

// prepareEtcd is checkEtcd where there was no network to ask from before. If the answer is
// no, and nothing but that network has been made yet, it goes again.
func (c *Cluster) prepareEtcd(ctx context.Context) error {
	err := c.checkEtcd(ctx)
	if err == nil || ctx.Err() != nil {
		return err
	}
	states, stateErr := c.Platform.States(ctx)
	if stateErr != nil || len(states) > 0 || c.founded() {
		return err
	}
	if undo := errors.Join(c.Platform.Destroy(ctx), os.RemoveAll(c.Dir)); undo != nil {
		return fmt.Errorf("%w; and then what had been made could not be removed: %w", err, undo)
	}
	os.Remove(StateRoot) // only where no other cluster is
	return err
}

// etcdPatience is how long an endpoint has for a connection, and for each answer.
const etcdPatience = 3 * time.Second

// etcdAsked is an external etcd and how it is asked.
type etcdAsked struct {
	cluster.ExternalEtcd
	ca, client pki.Pair
	dial       dial
	// mustBeEmpty refuses one with a Kubernetes cluster's data in it.
	mustBeEmpty bool
}

// askEtcd asks each endpoint. Those that do not answer are no error where another one does:
// they are returned as silent. A wrong certificate anywhere is an error, since it gets worse
// on the day on which the others are away.
func askEtcd(ctx context.Context, a etcdAsked) (silent []error, err error) {
	key, err := tls.X509KeyPair(a.client.Cert, a.client.Key)
	if err != nil {
		return nil, fmt.Errorf("externalEtcd.certFile: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(a.ca.Cert)
	client := &http.Client{Timeout: etcdPatience, Transport: &http.Transport{
		DialContext: a.dial, DisableKeepAlives: true,
		TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{key}},
	}}
	health := make([]error, len(a.Endpoints))
	var all sync.WaitGroup
	for i, endpoint := range a.Endpoints {
		all.Go(func() { health[i] = healthy(ctx, client, endpoint) })
	}
	all.Wait()
	var seen, id string // an endpoint that answers, and the cluster that it is of
	for i, endpoint := range a.Endpoints {
		field, err := fmt.Sprintf("externalEtcd.endpoints[%d]", i), health[i]
		if said := certificateTrouble(a.ExternalEtcd, endpoint, err); said != nil {
			return nil, said
		}
		if err != nil {
			silent = append(silent, fmt.Errorf("%s: %s does not answer a master: %w", field, endpoint, plainly(err)))
			continue
		}
		status, err := statusOf(ctx, client, endpoint)
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w: look at its log, then run `craton up` again", field, endpoint, plainly(err))
		}
		if seen != "" && status != id {
			return nil, fmt.Errorf("%s: %s is of another etcd cluster (%s) than %s (%s): name the members of one, then run `craton up` again",
				field, endpoint, status, seen, id)
		}
		if seen == "" && a.mustBeEmpty {
			if err := unused(ctx, client, endpoint); err != nil {
				return nil, fmt.Errorf("%s: %w", field, err)
			}
		}
		seen, id = endpoint, status
	}
	if seen == "" {
		return silent, fmt.Errorf("%w: start that etcd, or correct the address, then run `craton up` again", silent[0])
	}
	return silent, nil
}

// certificateTrouble is a sentence for an error that is about certificates, and otherwise nil.
func certificateTrouble(e cluster.ExternalEtcd, endpoint string, err error) error {
	const again = ", then run `craton up` again"
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var host x509.HostnameError
	var remote *net.OpError
	switch {
	case errors.As(err, &unknown):
		return fmt.Errorf("externalEtcd.caFile: %s has not signed the certificate of %s: put the certificate of that etcd's authority there%s", e.CAFile, endpoint, again)
	case errors.As(err, &host):
		return fmt.Errorf("externalEtcd.endpoints: the certificate of %s is not for that address (%w): use an address that it has%s", endpoint, host, again)
	case errors.As(err, &invalid):
		return fmt.Errorf("externalEtcd.endpoints: the certificate of %s is not valid (%w): renew it%s", endpoint, invalid, again)
	case errors.As(err, &remote) && remote.Op == "remote error": // crypto/tls: an alert of the other side
		return fmt.Errorf("externalEtcd.certFile: %s refuses the certificate %s (%w): put one there that its authority has signed%s", endpoint, e.CertFile, remote.Err, again)
	}
	return nil
}

// plainly leaves out what the HTTP client says around an error.
func plainly(err error) error {
	var outer *url.Error
	if errors.As(err, &outer) {
		if outer.Timeout() {
			return fmt.Errorf("no answer within %s", etcdPatience)
		}
		return outer.Err
	}
	return err
}

// healthy asks a member whether it can write: it needs a leader and so a quorum for that.
func healthy(ctx context.Context, client *http.Client, endpoint string) error {
	var answer struct{ Health, Reason string }
	if err := call(ctx, client, http.MethodGet, endpoint+"/health", nil, &answer); err != nil {
		return err
	}
	if answer.Health != "true" {
		return fmt.Errorf("it says that it is not healthy (%s)", answer.Reason)
	}
	return nil
}

// statusOf is the id of the member's cluster.
func statusOf(ctx context.Context, client *http.Client, endpoint string) (cluster string, err error) {
	var answer struct {
		Header struct {
			ClusterID string `json:"cluster_id"`
		}
	}
	err = call(ctx, client, http.MethodPost, endpoint+"/v3/maintenance/status", struct{}{}, &answer)
	return answer.Header.ClusterID, err
}

// unused refuses an etcd in which there is a Kubernetes cluster already: a new one would go
// on with the old one's objects, and could not read its secrets.
func unused(ctx context.Context, client *http.Client, endpoint string) error {
	var answer struct {
		KVs []struct{ Key []byte } `json:"kvs"`
	}
	err := call(ctx, client, http.MethodPost, endpoint+"/v3/kv/range", map[string]any{
		"key": []byte(kubernetesKeys), "range_end": []byte(kubernetesKeysEnd), "limit": 1, "keys_only": true,
	}, &answer)
	if err != nil {
		return fmt.Errorf("%s: look for data of another cluster: %w: correct that, then run `craton up` again", endpoint, plainly(err))
	}
	if len(answer.KVs) > 0 {
		return fmt.Errorf("the etcd at %s holds the data of a Kubernetes cluster already (%s): use another one, or, where nobody needs that data, remove it with `etcdctl del --prefix %s`, then run `craton up` again",
			endpoint, answer.KVs[0].Key, kubernetesKeys)
	}
	return nil
}

// The keys of a Kubernetes cluster begin so, and the next ones after them so.
const (
	kubernetesKeys    = "/registry/"
	kubernetesKeysEnd = "/registry0"
)

func call(ctx context.Context, client *http.Client, method, url string, body, answer any) error {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return err
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(text))
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return err
	}
	// A member that is not healthy says so with a code of its own.
	if err := json.Unmarshal(data, answer); err != nil || response.StatusCode != http.StatusOK && response.StatusCode != http.StatusServiceUnavailable {
		return fmt.Errorf("it answers %s: %.100q", response.Status, data)
	}
	return nil
}
