package test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"craton.dev/craton/machines/local"
	"craton.dev/craton/pki"
)

// behindGateway is a user's Gateway object with a name and a certificate of its own, and a route from
// it to the application that an Ingress object leads to as well.
const behindGateway = `
apiVersion: v1
kind: Secret
metadata: {name: gateway, namespace: default}
type: kubernetes.io/tls
data: {tls.crt: %[1]s, tls.key: %[2]s}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: own, namespace: default}
spec:
  gatewayClassName: traefik
  listeners:
  - {name: https, port: 443, protocol: HTTPS, hostname: %[3]s, tls: {certificateRefs: [{name: gateway}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: own, namespace: default}
spec:
  parentRefs: [{name: own}]
  hostnames: [%[3]s]
  rules: [{backendRefs: [{name: shown, port: 80}]}]
`

// gatewayName is the name of a user's own at which a Gateway object is.
const gatewayName = "own.example.test"

// testGateway has a user's own Gateway object lead to an application, by its own certificate, and
// say in its status that it does.
func testGateway(t *testing.T, l *lab) {
	c := l.open(t)
	secrets, err := pki.Held(l.state("pki"), c.Plan, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	pair, err := pki.IssueServer(secrets.Authorities[pki.KubernetesCA], []string{gatewayName}, nil, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.StdEncoding.EncodeToString
	l.apply(t, fmt.Sprintf(behindGateway, encode(pair.Cert), encode(pair.Key), gatewayName))
	client := l.gatewayVisitor(t)
	want := local.UserAddress(c.Plan.Network).String()
	eventually(t, time.Minute, func() error {
		from, err := get(client, "https://"+gatewayName+"/header?key=X-Forwarded-For")
		if err == nil && strings.TrimSpace(from) != want {
			err = fmt.Errorf("the application behind a Gateway object is told of a client at %q, expected %s", from, want)
		}
		return err
	})
	if answer, err := client.Get("https://" + gatewayName + "/hostname"); err != nil || answer.TLS.PeerCertificates[0].DNSNames[0] != gatewayName {
		t.Errorf("the Gateway object's own certificate is not shown: %v", err)
	}
	eventually(t, 20*time.Second, func() error {
		says, err := l.kubectl("get", "gateway", "own", "-o", `jsonpath={.status.conditions[?(@.type=="Programmed")].status} {.status.addresses[0].value}`)
		if want := "True " + c.Plan.Network.Console; err == nil && says != want {
			err = fmt.Errorf("the Gateway object's status is %q, expected %q", says, want)
		}
		return err
	})
}

// gatewayVisitor is a visitor who finds the Gateway object's name where the console's is.
func (l *lab) gatewayVisitor(t *testing.T) *http.Client {
	client, console := l.visitor(t), l.plan(t).Network.Console
	transport := client.Transport.(*http.Transport)
	dial := transport.DialContext
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		_, port, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		return dial(ctx, network, net.JoinHostPort(console, port))
	}
	return client
}
