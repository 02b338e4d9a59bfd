package signin_test

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"craton.dev/craton/pki"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/firstboot"
	"craton.dev/craton/render/manifests"
	"craton.dev/craton/render/part"
	"craton.dev/craton/render/part/dex"
	"craton.dev/craton/signin/trust"
)

// api is an API server that trusts a lab's Dex, by the configuration that a master gets.
type api struct {
	host  string
	ca    []byte
	admin *kubernetes.Clientset
	// config is the administrator's.
	config *rest.Config
	file   string
	etcd   string
	stop   func()
	start  func()
}

func newAPI(t *testing.T, l *lab) *api {
	t.Helper()
	server, store := program(t, apiVariable, "kube-apiserver"), program(t, etcdVar, "etcd")
	secrets, err := pki.Ensure(filepath.Join(l.dir, "pki"), l.plan, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	client, peer, address := freeAddress(t), freeAddress(t), freeAddress(t)
	run(t, nil, store, "--data-dir="+filepath.Join(l.dir, "etcd"), "--unsafe-no-fsync", "--log-level=error",
		"--listen-client-urls=http://"+client, "--advertise-client-urls=http://"+client,
		"--listen-peer-urls=http://"+peer, "--initial-advertise-peer-urls=http://"+peer, "--initial-cluster=default=http://"+peer)

	a := &api{host: "https://" + address, ca: l.ca.Cert, file: filepath.Join(l.dir, "authentication.yaml")}
	a.configure(t, l)
	_, port, _ := strings.Cut(address, ":")
	// The master's own certificate has the loopback address of a real one's etcd only.
	serving := l.serving(t)
	argv := []string{server, "--etcd-servers=http://" + client, "--bind-address=127.0.0.1", "--secure-port=" + port,
		"--tls-cert-file=" + l.write(t, "api.crt", serving.Cert), "--tls-private-key-file=" + l.write(t, "api.key", serving.Key),
		"--client-ca-file=" + l.write(t, "ca.crt", l.ca.Cert), "--authentication-config=" + a.file, "--authorization-mode=RBAC",
		"--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file=" + l.write(t, "sa.pub", secrets.ServiceAccount.Cert),
		"--service-account-signing-key-file=" + l.write(t, "sa.key", secrets.ServiceAccount.Key),
		"--service-cluster-ip-range=10.96.0.0/16", "--profiling=false",
		"--encryption-provider-config=" + l.write(t, "encryption.yaml", firstBootFile(t, l.plan, secrets, firstboot.Encryption))}
	a.etcd = client
	admin := secrets.Pairs["admin"]
	a.config = &rest.Config{Host: a.host, TLSClientConfig: rest.TLSClientConfig{CAData: l.ca.Cert, CertData: admin.Cert, KeyData: admin.Key}}
	if a.admin, err = kubernetes.NewForConfig(a.config); err != nil {
		t.Fatal(err)
	}
	a.start = func() {
		a.stop, _ = run(t, nil, argv...)
		until(t, time.Minute, func() error {
			return a.admin.Discovery().RESTClient().Get().AbsPath("/readyz").Do(t.Context()).Error()
		})
	}
	a.start()
	// What a controller manager does: here is none.
	until(t, 20*time.Second, func() error {
		whole, err := a.admin.RbacV1().ClusterRoles().Get(t.Context(), "view", metav1.GetOptions{})
		if err != nil {
			return err
		}
		from, err := a.admin.RbacV1().ClusterRoles().Get(t.Context(), "system:aggregate-to-view", metav1.GetOptions{})
		if err != nil {
			return err
		}
		whole.Rules = from.Rules
		return second(a.admin.RbacV1().ClusterRoles().Update(t.Context(), whole, metav1.UpdateOptions{}))
	})
	for _, o := range objects(t, l.plan, secrets) {
		var err error
		switch o := o.(type) {
		case *unstructured.Unstructured:
			err = a.define(t, o)
		case *corev1.ServiceAccount:
			_, err = a.admin.CoreV1().ServiceAccounts(o.Namespace).Create(t.Context(), o, metav1.CreateOptions{})
		case *rbacv1.Role:
			_, err = a.admin.RbacV1().Roles(o.Namespace).Create(t.Context(), o, metav1.CreateOptions{})
		case *rbacv1.RoleBinding:
			_, err = a.admin.RbacV1().RoleBindings(o.Namespace).Create(t.Context(), o, metav1.CreateOptions{})
		case *rbacv1.ClusterRole:
			_, err = a.admin.RbacV1().ClusterRoles().Create(t.Context(), o, metav1.CreateOptions{})
		case *rbacv1.ClusterRoleBinding:
			_, err = a.admin.RbacV1().ClusterRoleBindings().Create(t.Context(), o, metav1.CreateOptions{})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return a
}

func (l *lab) serving(t *testing.T) pki.Pair {
	t.Helper()
	cert, err1 := os.ReadFile(filepath.Join(l.dir, "tls.crt"))
	key, err2 := os.ReadFile(filepath.Join(l.dir, "tls.key"))
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	return pki.Pair{Cert: cert, Key: key}
}

// configure writes what the manifests of a master say.
func (a *api) configure(t *testing.T, l *lab) {
	t.Helper()
	config, err := manifests.Authentication(l.plan, l.ca.Cert)
	if err != nil {
		t.Fatal(err)
	}
	u, _ := url.Parse(l.place.Issuer)
	if err := os.WriteFile(a.file, []byte(l.local(string(config), u.Host)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// lacks waits until the API server is said to lack what is expected, of the configuration in its file.
func (a *api) lacks(t *testing.T, issuer, want string) {
	t.Helper()
	file, err := os.ReadFile(a.file)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	until(t, 90*time.Second, func() error {
		got, err := trust.Lacks(t.Context(), a.config, file, issuer)
		if err != nil || got != want {
			return fmt.Errorf("the API server lacks %q (%v), expected %q", got, err, want)
		}
		return nil
	})
	t.Logf("it lacks %q after %.1f s", want, time.Since(began).Seconds())
}

// define makes a kind of Dex's, and waits till there is such a kind.
func (a *api) define(t *testing.T, o *unstructured.Unstructured) error {
	client := a.admin.Discovery().RESTClient()
	body, err := o.MarshalJSON()
	if err != nil {
		return err
	}
	if err := client.Post().AbsPath("/apis/apiextensions.k8s.io/v1/customresourcedefinitions").Body(body).Do(t.Context()).Error(); err != nil {
		return err
	}
	plural, _, _ := unstructured.NestedString(o.Object, "spec", "names", "plural")
	until(t, 20*time.Second, func() error {
		return client.Get().AbsPath("/apis/dex.coreos.com/v1/" + plural).Do(t.Context()).Error()
	})
	return nil
}

// firstBootFile is a file that a master gets at its first boot.
func firstBootFile(t *testing.T, p *plan.Plan, s *pki.Secrets, path string) []byte {
	t.Helper()
	config, err := firstboot.For(p, p.Machines[0].Name, s, firstboot.Options{PauseImage: "pause"})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range config.Files {
		if f.Path == path {
			return f.Contents
		}
	}
	t.Fatalf("a master gets no %s", path)
	return nil
}

func objects(t *testing.T, p *plan.Plan, s *pki.Secrets) []any {
	t.Helper()
	objects, err := dex.Part.Objects(part.Input{Plan: p, Secrets: s, Images: func(string) string { return "image" }})
	if err != nil {
		t.Fatal(err)
	}
	var out []any
	for _, o := range objects {
		out = append(out, o)
	}
	return out
}

// as is a client with a token.
func (a *api) as(t *testing.T, token string) *kubernetes.Clientset {
	t.Helper()
	client, err := kubernetes.NewForConfig(&rest.Config{Host: a.host, BearerToken: token, TLSClientConfig: rest.TLSClientConfig{CAData: a.ca}})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func who(ctx context.Context, c *kubernetes.Clientset) (authenticationv1.UserInfo, error) {
	got, err := c.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		return authenticationv1.UserInfo{}, err
	}
	return got.Status.UserInfo, nil
}

func second[T any](_ T, err error) error { return err }
