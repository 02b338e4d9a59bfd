package signin_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"

	"craton.dev/craton/signin"
)

// Tokens are readable by their owner only, whatever the umask is, and are refused where they were
// readable by others.
func TestStore(t *testing.T) {
	store := signin.Store{Dir: filepath.Join(t.TempDir(), "a", "tokens")}
	place := signin.Place{Issuer: "https://a.example/dex", Client: "craton"}
	if got, err := store.Load(place); got != nil || err != nil {
		t.Errorf("before: %v %v", got, err)
	}
	if _, err := store.Current(t.Context(), place); !errors.Is(err, signin.ErrSignInAgain) {
		t.Errorf("before: %v", err)
	}
	want := &signin.Tokens{ID: "id", Refresh: "r", Expires: time.Now().Add(time.Hour).UTC(), Name: "a"}
	if err := store.Save(place, want); err != nil {
		t.Fatal(err)
	}
	var file string
	filepath.Walk(store.Dir, func(path string, info os.FileInfo, err error) error {
		mode := os.FileMode(0o600)
		if info.IsDir() {
			mode = 0o700
		} else {
			file = path
		}
		if err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s has mode %o: %v", path, info.Mode().Perm(), err)
		}
		return nil
	})
	if got, err := store.Current(t.Context(), place); err != nil || got.ID != "id" {
		t.Errorf("kept: %+v %v", got, err)
	}
	for _, other := range []signin.Place{{Issuer: "https://b.example/dex", Client: "craton"}, {Issuer: place.Issuer, Client: "other"}} {
		if got, err := store.Load(other); got != nil || err != nil {
			t.Errorf("%+v has another's tokens", other)
		}
	}
	if err := os.Chmod(file, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Current(t.Context(), place); err == nil || !strings.Contains(err.Error(), "others can read it") {
		t.Errorf("readable by others: %v", err)
	}
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	os.Chmod(file, 0o600)
	if _, err := store.Current(t.Context(), place); err == nil || !strings.Contains(err.Error(), "craton login writes it anew") {
		t.Errorf("half a file: %v", err)
	}
	for _, there := range []bool{true, false} {
		if was, err := store.Remove(place); was != there || err != nil {
			t.Errorf("remove: %t %v", was, err)
		}
	}
}

// What kubectl gets is what its own types read, and it is told to come back before the token ends.
func TestCredential(t *testing.T) {
	store := signin.Store{Dir: t.TempDir()}
	place := signin.Place{Issuer: "https://a.example/dex", Client: "craton"}
	end := time.Now().Add(10 * time.Minute)
	if err := store.Save(place, &signin.Tokens{ID: "id", Expires: end}); err != nil {
		t.Fatal(err)
	}
	data, err := store.Credential(t.Context(), place)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Kind, APIVersion string
		Status           struct {
			Token               string
			ExpirationTimestamp time.Time
		}
	}
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	if got.Kind != "ExecCredential" || got.APIVersion != "client.authentication.k8s.io/v1" || got.Status.Token != "id" ||
		!got.Status.ExpirationTimestamp.Before(end) || got.Status.ExpirationTimestamp.Before(end.Add(-time.Minute)) {
		t.Errorf("%s", data)
	}
	t.Setenv("KUBERNETES_EXEC_INFO", `{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","spec":{"cluster":{"certificate-authority-data":"Y2E="}}}`)
	if ca, err := signin.ClusterCA(); err != nil || string(ca) != "ca" {
		t.Errorf("the authority is %q: %v", ca, err)
	}
}

// The kubeconfig that login writes says where to sign in to whoever reads it, keeps what else is
// in the file, and has no secret.
func TestKubeconfig(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(file, []byte("apiVersion: v1\nkind: Config\nclusters: [{name: mine, cluster: {server: 'https://mine'}}]\n"+
		"users: [{name: me, user: {token: t}}]\ncontexts: [{name: mine, context: {cluster: mine, user: me}}]\ncurrent-context: mine\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	api := signin.API{Server: "https://127.0.0.1:6443", TLSServerName: "demo-k8s.cluster.test", CA: []byte("ca")}
	want := signin.Place{Issuer: "https://demo.cluster.test/dex", Client: "craton", Connect: "127.0.0.1:8443", CA: []byte("ca")}
	if _, _, err := signin.PlaceOf(file, ""); err == nil || !strings.Contains(err.Error(), "not one that signs in") {
		t.Errorf("somebody else's context: %v", err)
	}
	if at, err := signin.AddContext(file, "demo", api, want, "/usr/bin/craton"); err != nil || at != file {
		t.Fatal(at, err)
	}
	name, got, err := signin.PlaceOf(file, "")
	if err != nil || name != "demo" || got.Issuer != want.Issuer || got.Client != want.Client || got.Connect != want.Connect || string(got.CA) != "ca" {
		t.Errorf("%s: %+v %v", name, got, err)
	}
	if _, _, err := signin.PlaceOf(file, "other"); err == nil || !strings.Contains(err.Error(), `no context "other"`) {
		t.Errorf("no such context: %v", err)
	}
	all, err := clientcmd.LoadFromFile(file)
	if err != nil || all.Contexts["mine"] == nil || all.AuthInfos["me"].Token != "t" || all.Clusters["demo"].TLSServerName != api.TLSServerName {
		t.Errorf("%+v %v", all, err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
	public, err := signin.Kubeconfig("demo", api, want, "craton")
	if err != nil || strings.Contains(string(public), "token") && !strings.Contains(string(public), "client.authentication") {
		t.Errorf("%s %v", public, err)
	}
}

// While the provider is away, a token is used for as long as it is good, and not after.
func TestProviderAway(t *testing.T) {
	store := signin.Store{Dir: t.TempDir()}
	place := signin.Place{Issuer: "https://127.0.0.1:1/dex", Client: "craton"}
	for left, good := range map[time.Duration]bool{20 * time.Second: true, -time.Second: false} {
		if err := store.Save(place, &signin.Tokens{ID: "id", Refresh: "r", Expires: time.Now().Add(left)}); err != nil {
			t.Fatal(err)
		}
		got, err := store.Current(t.Context(), place)
		if good && (err != nil || got.ID != "id") || !good && (err == nil || errors.Is(err, signin.ErrSignInAgain)) {
			t.Errorf("with %v left: %+v %v", left, got, err)
		}
	}
}
