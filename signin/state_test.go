package signin_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	clientv3 "go.etcd.io/etcd/client/v3"

	"craton.dev/craton/render/part"
	"craton.dev/craton/signin"
)

// Dex keeps its state in Kubernetes, with no more rights than its role gives, and there it is
// encrypted. A Dex that is replaced goes on with sessions and keys; what the cluster file says of
// a person now is what the next token says, and somebody who is taken out gets none.
func TestState(t *testing.T) {
	l := newLab(t, func(config map[string]any) {
		// While an old token may be used again Dex does not ask anew: seconds in a cluster.
		config["expiry"].(map[string]any)["refreshTokens"].(map[string]any)["reuseInterval"] = "100ms"
	})
	a := newAPI(t, l)
	ctx := t.Context()
	token, err := a.admin.CoreV1().ServiceAccounts(part.Namespace).CreateToken(ctx, "dex", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	config := clientcmdapi.NewConfig()
	config.Clusters["c"] = &clientcmdapi.Cluster{Server: a.host, CertificateAuthorityData: a.ca}
	config.AuthInfos["u"] = &clientcmdapi.AuthInfo{Token: token.Status.Token}
	config.Contexts["c"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "u", Namespace: part.Namespace}
	config.CurrentContext = "c"
	data, err := clientcmd.Write(*config)
	if err != nil {
		t.Fatal(err)
	}
	l.stop()
	l.config["storage"] = map[string]any{"type": "kubernetes", "config": map[string]any{
		"kubeConfigFile": l.write(t, "dex.kubeconfig", data), "crdHandling": "check",
	}}
	l.start(t)
	one, two := l.tokensOf(t, anna), l.tokensOf(t, ben)
	until(t, 30*time.Second, func() error { return second(who(ctx, a.as(t, one.ID))) })

	store, err := clientv3.New(clientv3.Config{Endpoints: []string{"http://" + a.etcd}, DialTimeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	kept, err := store.Get(ctx, "/registry/dex.coreos.com/", clientv3.WithPrefix())
	if err != nil || len(kept.Kvs) < 4 { // keys, two refresh tokens, two offline sessions
		t.Fatalf("etcd has %d objects of Dex: %v", len(kept.Kvs), err)
	}
	for _, kv := range kept.Kvs {
		if !bytes.HasPrefix(kv.Value, []byte("k8s:enc:secretbox:")) {
			t.Errorf("%s is in the clear: %.80q", kv.Key, kv.Value)
		}
	}

	// A new Dex, for which anna has lost a group and ben is nobody.
	l.stop()
	users := l.config["staticPasswords"].([]any)
	users[0].(map[string]any)["groups"] = []string{"ops"}
	l.config["staticPasswords"] = users[:1]
	l.start(t)
	next, err := l.place.Renew(ctx, one)
	if err != nil {
		t.Fatalf("the session has not outlived Dex: %v", err)
	}
	if !slices.Equal(next.Groups, []string{"ops"}) {
		t.Errorf("the next token says %v", next.Groups)
	}
	me, err := who(ctx, a.as(t, next.ID)) // by a key that the API server knows from before
	if err != nil || slices.Contains(me.Groups, "sign-in:local:night shift") {
		t.Errorf("the API server says %+v %v", me, err)
	}
	if _, err := l.place.Renew(ctx, two); !errors.Is(err, signin.ErrSignInAgain) {
		t.Errorf("somebody who was taken out: %v", err)
	}
}
