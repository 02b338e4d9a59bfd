package test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"craton.dev/craton/contract"
	"craton.dev/craton/machines/local"
	"craton.dev/craton/payload"
	"craton.dev/craton/pki"
	"craton.dev/craton/plan"
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

// TestIngress protects each way to the ingress, two of them from the files of examples/: it answers
// users at the console's name with a certificate of the cluster's authority, leads to a user's own
// Ingress and Gateway objects, tells it where its client is, sends HTTP to HTTPS, lets a stream go on, and loses no
// request when it is replaced. Its ports on machines answer whom their clauses name, where a pod of
// it is, in both profiles.
func TestIngress(t *testing.T) {
	needHost(t)
	ingressOn := "options: {ingress: true}"
	for _, way := range []struct {
		name  string
		write func(t *testing.T, l *lab, more ...string)
	}{
		{"nodePort", func(t *testing.T, l *lab, more ...string) {
			l.example(t, "../examples/ingress-nodeport.yaml", 1, 1, more...)
		}},
		{"hostPort", func(t *testing.T, l *lab, more ...string) {
			l.example(t, "../examples/ingress-hostport.yaml", 1, 1, more...)
		}},
		{"infra", func(t *testing.T, l *lab, more ...string) {
			l.write(t, 1, 1, append(more, ingressOn, "infra: 1", "loadBalancer: false")...)
		}},
	} {
		t.Run(way.name, func(t *testing.T) {
			l := newLab(t, ingressCluster)
			t.Cleanup(func() { l.diagnose(t) })
			way.write(t, l)
			l.up(t)
			l.ready(t)
			whole := way.name == "nodePort" // what follows from no way is tried once
			var streamed <-chan error
			if whole {
				streamed = startStream(t, l)
			}
			testIngressAnswers(t, l)
			if l.open(t).Plan.File.Options.Gateway {
				testGateway(t, l)
			}
			testIngressPorts(t, l)
			if whole {
				testIngressRenewal(t, l)
				if err := <-streamed; err != nil {
					t.Error(err)
				}
			}
			testIngressRestart(t, l)
			more := []string{"profile: minimal"}
			if way.name == "hostPort" {
				more = append(more, ownCertificate(t, l))
			}
			way.write(t, l, more...)
			l.up(t)
			testIngressAnswers(t, l)
			testIngressPorts(t, l)
			l.down(t)
		})
	}
}

// streaming is a service of something outside of pods, with an Ingress object.
const streaming = `
apiVersion: v1
kind: Service
metadata: {name: streaming, namespace: default}
spec: {ports: [{port: 80, targetPort: %[2]d}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: streaming, namespace: default, labels: {kubernetes.io/service-name: streaming}}
addressType: IPv4
ports: [{port: %[2]d}]
endpoints: [{addresses: [%[1]q]}]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: streaming, namespace: default}
spec:
  rules:
  - host: %[3]s
    http: {paths: [{path: /stream, pathType: Prefix, backend: {service: {name: streaming, port: {number: 80}}}}]}
`

// startStream has a client read for longer than a minute, by HTTP/1.1, what is written bit by bit,
// as events are and logs that are followed.
func startStream(t *testing.T, l *lab) (ended <-chan error) {
	t.Helper()
	const parts, pause = 15, 5 * time.Second
	p := l.open(t).Plan
	in, ok := p.IngressController()
	if !ok {
		t.Fatal("the plan has no ingress")
	}
	machine := p.OfRole(in.Role)[0] // no rule is between the ingress and its own machine
	at := netip.AddrPortFrom(machine.Address, 18080)
	var listener net.Listener
	var err error
	l.in(t, machine.Name, func() { listener, err = net.Listen("tcp4", at.String()) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for range parts {
			io.WriteString(w, "one\n")
			http.NewResponseController(w).Flush()
			time.Sleep(pause)
		}
	}))
	l.apply(t, fmt.Sprintf(streaming, at.Addr(), at.Port(), p.Network.Console))
	client := l.visitor(t)
	client.Timeout = 2 * parts * pause
	client.Transport.(*http.Transport).ForceAttemptHTTP2 = false
	client.Transport.(*http.Transport).TLSClientConfig.NextProtos = []string{"http/1.1"}
	done := make(chan error, 1)
	go func() {
		var answer *http.Response
		var err error
		for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(time.Second) {
			if answer, err = client.Get("https://" + p.Network.Console + "/stream"); err == nil && answer.StatusCode == http.StatusOK {
				break
			}
		}
		if err != nil {
			done <- err
			return
		}
		defer answer.Body.Close()
		began := time.Now()
		text, err := io.ReadAll(answer.Body)
		if got := strings.Count(string(text), "one\n"); err != nil || got != parts {
			err = fmt.Errorf("after %.0f s a stream ended (%s, %v) with %d of %d parts", time.Since(began).Seconds(), answer.Status, err, got, parts)
		}
		done <- err
	}()
	return done
}

// ownCertificate is a line of a cluster file with a certificate for the console's name by an authority
// that is not Kubernetes'.
func ownCertificate(t *testing.T, l *lab) string {
	t.Helper()
	c := l.open(t)
	secrets, err := pki.Held(l.state("pki"), c.Plan, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	pair, err := pki.IssueServer(secrets.Registry, []string{c.Plan.Network.Console}, nil, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "console.crt"), filepath.Join(dir, "console.key")
	for file, data := range map[string][]byte{cert: pair.Cert, key: pair.Key} {
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return fmt.Sprintf("ingressCertificate: {certFile: %s, keyFile: %s}", cert, key)
}

// visitor is a client in the user network that knows the cluster's names and authority, or trusts
// nothing but the certificate of the cluster file where there is one.
func (l *lab) visitor(t *testing.T) *http.Client {
	t.Helper()
	c, p := l.open(t), l.plan(t)
	secrets, err := pki.Held(l.state("pki"), c.Plan, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if c.Plan.File.IngressCertificate != nil {
		roots.AppendCertsFromPEM(secrets.Pairs[plan.IdentityIngress].Cert)
	} else {
		roots.AppendCertsFromPEM(secrets.Authorities[pki.KubernetesCA].Cert)
	}
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
	eventually(t, 2*time.Minute, func() error { // a certificate is there when the kubelet has looked after it
		from, err := get(client, "https://"+p.Network.Console+"/header?key=X-Forwarded-For")
		if err == nil && strings.TrimSpace(from) != want {
			err = fmt.Errorf("the application is told of a client at %q, expected %s", from, want)
		}
		return err
	})
	if in, ok := l.open(t).Plan.IngressController(); !ok || in.HTTP == 0 {
		return // the document opens HTTPS alone on infra machines
	}
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
	peers := l.peers(t)
	for _, m := range p.Machines {
		peers[m.Name] = m.Address
	}
	for _, m := range p.Machines {
		for from, address := range peers {
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

// testIngressRestart has each pod of the ingress replaced while clients ask on.
func testIngressRestart(t *testing.T, l *lab) {
	l.loses(t, "while the ingress is replaced", func() {
		if _, err := l.kubectl("-n", "kube-system", "rollout", "restart", "daemonset/ingress"); err != nil {
			t.Error(err)
		}
		if _, err := l.kubectl("-n", "kube-system", "rollout", "status", "daemonset/ingress", "--timeout=150s"); err != nil {
			t.Error(err)
		}
		time.Sleep(10 * time.Second) // the old pod takes connections on, and drains
	})
}

// testIngressRenewal has the ingress's certificate issued anew while clients ask on: new connections
// are shown the new one soon.
func testIngressRenewal(t *testing.T, l *lab) {
	shown := func() (*big.Int, error) {
		client := l.visitor(t)
		defer client.CloseIdleConnections()
		answer, err := client.Get("https://" + l.plan(t).Network.Console + "/hostname")
		if err != nil {
			return nil, err
		}
		defer answer.Body.Close()
		return answer.TLS.PeerCertificates[0].SerialNumber, nil
	}
	before, err := shown()
	if err != nil {
		t.Fatal(err)
	}
	l.loses(t, "while the ingress's certificate is renewed", func() {
		expireSoon(t, l.state("pki"), plan.IdentityIngress)
		l.up(t)
		began := time.Now()
		eventually(t, 2*time.Minute, func() error { // a kubelet looks after secrets about once a minute
			now, err := shown()
			if err == nil && now.Cmp(before) == 0 {
				err = errors.New("the ingress still shows the certificate from before")
			}
			return err
		})
		t.Logf("the new certificate is shown %.0f s after up", time.Since(began).Seconds())
	})
}

// loses has clients, half of them with a connection for each request, ask on while something is
// done, and fails the test for each request that gets no answer.
func (l *lab) loses(t *testing.T, when string, do func()) {
	t.Helper()
	const clients = 4
	p := l.plan(t)
	url := "https://" + p.Network.Console + "/hostname"
	stop := make(chan struct{})
	var all sync.WaitGroup
	var mu sync.Mutex
	asked, lost := 0, []string{}
	for i := range clients {
		client, url := l.visitor(t), url
		if i/2 == 1 && l.open(t).Plan.File.Options.Gateway {
			client, url = l.gatewayVisitor(t), "https://"+gatewayName+"/hostname"
		}
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
	func() {
		defer func() { close(stop); all.Wait() }()
		do()
	}()
	t.Logf("%d requests %s, %d lost", asked, when, len(lost))
	if asked == 0 || len(lost) > 0 {
		t.Errorf("of %d requests %s %d were lost: %s", asked, when, len(lost), strings.Join(lost[:min(5, len(lost))], "; "))
	}
}
