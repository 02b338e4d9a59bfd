// Package stage is what the Console's tests play on: a real API server with its etcd on
// loopback, an OpenID provider whose people the API server believes, and objects like a
// real cluster's. It has no machines: what they would report is written by the test.
package stage

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"craton.dev/craton/command"
)

// Audience is whom the provider's tokens are for.
const Audience = "craton-console"

// Stage is a running API server with its provider.
type Stage struct {
	// URL is the API server's, and CAFile the authority of its certificate.
	URL, CAFile string
	// Admin may do everything, by another way than the provider's tokens.
	Admin    *kubernetes.Clientset
	Provider *Provider

	config *rest.Config
	// kubelet is the port of all machines' kubelet.
	kubelet int32
}

// Start starts one that ends with the test. The programs are the payload's, named by
// CRATON_ETCD and CRATON_APISERVER: without them the test is skipped.
func Start(t testing.TB) *Stage {
	t.Helper()
	s := &Stage{Provider: NewProvider(t, t.TempDir())}
	s.start(t, s.Provider.authentication())
	return s
}

// StartTrusting starts one whose API server believes whom this AuthenticationConfiguration
// names. It has no provider of its own.
func StartTrusting(t testing.TB, authentication string) *Stage {
	t.Helper()
	s := &Stage{}
	s.start(t, authentication)
	return s
}

func (s *Stage) start(t testing.TB, trust string) {
	t.Helper()
	etcd, apiserver := Program(t, "etcd"), Program(t, "kube-apiserver")
	dir := t.TempDir()

	client, peer, port := FreePort(t), FreePort(t), FreePort(t)
	etcdURL := "http://127.0.0.1:" + client
	Run(t, dir, etcd, "--data-dir="+filepath.Join(dir, "etcd"), "--log-level=error", "--unsafe-no-fsync",
		"--listen-client-urls="+etcdURL, "--advertise-client-urls="+etcdURL,
		"--listen-peer-urls=http://127.0.0.1:"+peer, "--initial-advertise-peer-urls=http://127.0.0.1:"+peer,
		"--initial-cluster=default=http://127.0.0.1:"+peer)

	const token = "stage-admin"
	tokens := write(t, dir, "tokens.csv", token+",admin,1,system:masters\n")
	key := serviceAccountKey(t, dir)
	authentication := write(t, dir, "authentication.yaml", trust)
	Run(t, dir, apiserver, "--etcd-servers="+etcdURL, "--bind-address=127.0.0.1", "--secure-port="+port,
		"--cert-dir="+filepath.Join(dir, "certs"), "--token-auth-file="+tokens, "--authentication-config="+authentication,
		"--service-account-issuer=https://stage", "--service-account-key-file="+key, "--service-account-signing-key-file="+key,
		"--service-cluster-ip-range=10.96.0.0/16", "--authorization-mode=RBAC",
		// Where a kubelet of the stage listens: see Kubelet.
		"--kubelet-preferred-address-types=ExternalIP",
		// Nothing runs that would make or need them.
		"--disable-admission-plugins=ServiceAccount", "--profiling=false")
	s.URL = "https://127.0.0.1:" + port
	s.CAFile = filepath.Join(dir, "certs", "ca.pem")

	s.await(t, token)
	s.config = &rest.Config{Host: s.URL, BearerToken: token, QPS: -1, TLSClientConfig: rest.TLSClientConfig{CAFile: s.CAFile}}
	var err error
	s.startKubelet(t)
	if s.Admin, err = kubernetes.NewForConfig(s.config); err != nil {
		t.Fatal(err)
	}
}

// await waits until the API server says that it is ready, and writes down the certificate
// that it has made for itself: it is its own authority.
func (s *Stage) await(t testing.TB, token string) {
	t.Helper()
	var seen atomic.Pointer[x509.Certificate] // a connection that came too late may still be made
	client := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{
		InsecureSkipVerify: true, // it is looked at below, and is what is trusted from then on
		VerifyConnection: func(c tls.ConnectionState) error {
			seen.Store(c.PeerCertificates[len(c.PeerCertificates)-1])
			return nil
		},
	}}}
	defer client.CloseIdleConnections()
	for end := time.Now().Add(90 * time.Second); ; {
		r, err := http.NewRequest(http.MethodGet, s.URL+"/readyz", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		answer, err := client.Do(r)
		if err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				break
			}
			err = errors.New(answer.Status)
		}
		if time.Now().After(end) {
			t.Fatalf("no API server at %s: %v", s.URL, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
	if err := os.WriteFile(s.CAFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: seen.Load().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Program is the path of a built program of the payload, such as "etcd" in CRATON_ETCD.
func Program(t testing.TB, name string) string {
	t.Helper()
	variable := "CRATON_" + strings.ToUpper(strings.TrimPrefix(name, "kube-"))
	path := os.Getenv(variable)
	if path == "" {
		t.Skipf("%s is not set: it has the path that `craton payload path %s` prints", variable, name)
	}
	return path
}

// Run runs a program till the test ends; what it says is shown where the test fails.
func Run(t testing.TB, dir, program string, args ...string) {
	t.Helper()
	log, err := os.Create(filepath.Join(dir, filepath.Base(program)+".log"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // the kernel ends the program with the thread that started it
		_, err := command.Cmd{
			Name: program, Args: args, Stdout: log, Stderr: log, Timeout: time.Hour,
			// Not even a test that is killed leaves it behind.
			Attr: &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL},
		}.Run(ctx)
		ended <- err
	}()
	t.Cleanup(func() {
		stop()
		<-ended // it was killed
		log.Close()
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("the end of %s:\n%s", log.Name(), text[max(0, len(text)-3000):])
		}
	})
}

func write(t testing.TB, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// FreePort is one that nobody listens on now.
func FreePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}
