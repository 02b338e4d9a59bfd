package pki

import (
	"testing"

	"k8s.io/client-go/tools/clientcmd"
)

// TestKubeconfig protects that a client built from it verifies the server, under the given
// name, and shows who it is.
func TestKubeconfig(t *testing.T) {
	s := ensure(t, t.TempDir(), testPlan(), t0)
	data, err := Kubeconfig(Client{
		Server: "https://127.0.0.1:6443", TLSServerName: "a-k8s.example.com",
		CA: s.Authorities["kubernetes"].Cert, Pair: s.Pairs["admin"], Context: "a",
	})
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := clientcmd.RESTConfigFromKubeConfig(data)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Host != "https://127.0.0.1:6443" || cfg.ServerName != "a-k8s.example.com" || cfg.Insecure ||
		string(cfg.CAData) != string(s.Authorities["kubernetes"].Cert) || string(cfg.KeyData) != string(s.Pairs["admin"].Key) {
		t.Errorf("%+v", cfg)
	}
}

// TestKubeconfigRefuses protects against a client that trusts anybody, or is nobody or two.
func TestKubeconfigRefuses(t *testing.T) {
	pair := Pair{Cert: []byte("c"), Key: []byte("k")}
	for name, c := range map[string]Client{
		"no CA": {Token: "t"}, "nobody": {CA: []byte("ca")}, "two": {CA: []byte("ca"), Token: "t", Pair: pair},
	} {
		if _, err := Kubeconfig(c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
