package test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"craton.dev/craton/contract"
	"craton.dev/craton/machines/local"
	"craton.dev/craton/payload"
	"craton.dev/craton/pki"
)

const ingressCluster = "ciingress"

// behindIngress is a user's application with an Ingress object that names no class.
const behindIngress = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: shown, namespace: default}
spec:
  selector: {matchLabels: {app: shown}}
  template:
    metadata: {labels: {app: shown}}
    spec:
      containers:
      - name: web
        image: %s
        args: [netexec, --http-port=%d]
        readinessProbe: {httpGet: {path: /healthz, port: %[2]d}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: shown, namespace: default}
spec: {selector: {app: shown}, ports: [{port: 80, targetPort: %[2]d}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: shown, namespace: default}
spec:
  rules:
  - host: %[3]s
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: shown, port: {number: 80}}}}]}
`

// TestIngress protects both ways to the ingress, from the files of examples/: it answers users at
// the console's name with a certificate of the cluster's authority, leads to a user's own Ingress
// object, tells it where its client is, sends HTTP to HTTPS, and loses no request when it is
// replaced. Its ports on machines answer whom their clauses name, where a pod of it is.
func TestIngress(t *testing.T) {
	needHost(t)
	for _, way := range []struct{ name, example string }{
		{"nodePort", "../examples/ingress-nodeport.yaml"}, {"hostPort", "../examples/ingress-hostport.yaml"},
	} {
		t.Run(way.name, func(t *testing.T) {
			l := newLab(t, ingressCluster)
			t.Cleanup(func() { l.diagnose(t) })
			l.example(t, way.example, 1, 1)
			l.up(t)
			l.ready(t)
			testIngressAnswers(t, l)
			testIngressPorts(t, l)
			testIngressRestart(t, l)
			l.down(t)
		})
	}
}

// visitor is a client in the user network that knows the cluster's names and authority.
func (l *lab) visitor(t *testing.T) *http.Client {
	t.Helper()
	c, p := l.open(t), l.plan(t)
	secrets, err := pki.Ensure(l.state("pki"), c.Plan, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(secrets.Authorities[pki.KubernetesCA].Cert)
	return &http.Client{
		Timeout:       10 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 8,
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				host, port, err := net.SplitHostPort(address)
				if err != nil {
					return nil, err
				}
				for _, n := range p.Names {
					if n.Name == host {
						host = n.Targets[0]
					}
				}
				return c.Platform.Dial(ctx, network, net.JoinHostPort(host, port))
			},
		},
	}
}

func testIngressAnswers(t *testing.T, l *lab) {
	p, client := l.plan(t), l.visitor(t)
	l.apply(t, fmt.Sprintf(behindIngress, payload.Image("agnhost"), webPort, p.Network.Console))
	want := local.UserAddress(p.Network).String()
	eventually(t, time.Minute, func() error {
		from, err := get(client, "https://"+p.Network.Console+"/header?key=X-Forwarded-For")
		if err == nil && strings.TrimSpace(from) != want {
			err = fmt.Errorf("the application is told of a client at %q, expected %s", from, want)
		}
		return err
	})
	answer, err := client.Get("http://" + p.Network.Console + "/somewhere?x=1")
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, answer.Body)
	answer.Body.Close()
	if to := answer.Header.Get("Location"); answer.StatusCode/100 != 3 || to != "https://"+p.Network.Console+"/somewhere?x=1" {
		t.Errorf("HTTP answers %s and leads to %q", answer.Status, to)
	}
}

// testIngressPorts tries each port of the ingress on each machine from each kind of peer.
func testIngressPorts(t *testing.T, l *lab) {
	p := l.open(t).Plan
	in, ok := p.IngressController()
	if !ok {
		t.Fatal("the plan has no ingress")
	}
	ports := map[uint16]bool{in.HTTPS: true, in.HTTP: true, in.Health: true, 0: false}
	for _, m := range p.Machines {
		for from, address := range l.peers(t) {
			if from == m.Name {
				continue // what a machine asks of itself passes no rule
			}
			for port, is := range ports {
				if !is || port == p.Network.APIPort && m.Role == contract.Master {
					continue // that is the API's
				}
				allowed, _ := p.Allows(address, m.Address, contract.TCP, port)
				conn, err := l.dial(t, from, netip.AddrPortFrom(m.Address, port))
				if err == nil {
					conn.Close()
				}
				if open, want := err == nil, allowed && m.Role == in.Role; open != want {
					t.Errorf("from %s, port %d of %s is open: %v, expected %v", from, port, m.Name, open, want)
				}
			}
		}
	}
}

// testIngressRestart has clients with connections of their own ask on while each pod of the
// ingress is replaced.
func testIngressRestart(t *testing.T, l *lab) {
	const clients = 4
	p := l.plan(t)
	url := "https://" + p.Network.Console + "/hostname"
	stop := make(chan struct{})
	var all sync.WaitGroup
	var mu sync.Mutex
	asked, lost := 0, []string{}
	for i := range clients {
		client := l.visitor(t)
		client.Transport.(*http.Transport).DisableKeepAlives = i%2 == 1
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				_, err := get(client, url)
				mu.Lock()
				asked++
				if err != nil {
					lost = append(lost, time.Now().Format(time.TimeOnly)+" "+err.Error())
				}
				mu.Unlock()
			}
		})
	}
	restart := func() {
		defer func() { close(stop); all.Wait() }()
		if _, err := l.kubectl("-n", "kube-system", "rollout", "restart", "daemonset/ingress"); err != nil {
			t.Error(err)
		}
		if _, err := l.kubectl("-n", "kube-system", "rollout", "status", "daemonset/ingress", "--timeout=150s"); err != nil {
			t.Error(err)
		}
		time.Sleep(10 * time.Second) // the old pod takes connections on, and drains
	}
	restart()
	t.Logf("%d requests while the ingress was replaced, %d lost", asked, len(lost))
	if asked == 0 || len(lost) > 0 {
		t.Errorf("of %d requests %d were lost: %s", asked, len(lost), strings.Join(lost[:min(5, len(lost))], "; "))
	}
}
