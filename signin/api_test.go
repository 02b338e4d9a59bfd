package signin_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"craton.dev/craton/plan"
	"craton.dev/craton/render/manifests"
	"craton.dev/craton/render/part/dex"
)

// The API server takes Dex's tokens for craton, knows from them who somebody is, and lets them do
// what their group may; whatever else calls itself a token it refuses. While Dex is away, and
// also when it starts then, the administrator's certificate is as good as ever.
func TestAPIServer(t *testing.T) {
	l := newLab(t, func(config map[string]any) {
		config["staticClients"] = append(config["staticClients"].([]any), map[string]any{
			"id": "other", "name": "Other", "public": true,
		})
	})
	a := newAPI(t, l)
	ctx, whole := t.Context(), t
	admin, viewer := l.tokensOf(t, anna), l.tokensOf(t, ben)
	a.lacks(t, l.place.Issuer, "")
	me, err := who(ctx, a.as(t, admin.ID))
	if err != nil {
		t.Fatalf("an API server that lacks nothing: %v", err)
	}
	if want := []string{"sign-in:local:ops", "sign-in:local:night shift", "system:authenticated"}; me.Username != "sign-in:local:"+anna || !slices.Equal(me.Groups, want) {
		t.Errorf("it takes anna for %+v", me)
	}

	name := func(n string) *corev1.ConfigMap {
		return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: n, Namespace: "default"}}
	}
	until(t, 10*time.Second, func() error {
		return second(a.as(t, admin.ID).CoreV1().ConfigMaps("default").Create(ctx, name("a"), metav1.CreateOptions{}))
	})
	view := a.as(t, viewer.ID)
	until(t, 10*time.Second, func() error { // roles were made just now
		return second(view.CoreV1().ConfigMaps("default").Get(ctx, "a", metav1.GetOptions{}))
	})
	if _, err := view.CoreV1().Nodes().List(ctx, metav1.ListOptions{}); err != nil {
		t.Errorf("view cannot see machines: %v", err)
	}
	for what, err := range map[string]error{
		"create":  second(view.CoreV1().ConfigMaps("default").Create(ctx, name("b"), metav1.CreateOptions{})),
		"update":  second(view.CoreV1().ConfigMaps("default").Update(ctx, name("a"), metav1.UpdateOptions{})),
		"delete":  view.CoreV1().ConfigMaps("default").Delete(ctx, "a", metav1.DeleteOptions{}),
		"secrets": second(view.CoreV1().Secrets("").List(ctx, metav1.ListOptions{})),
		"give rights": second(view.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: "mine"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"}}, metav1.CreateOptions{})),
	} {
		if !apierrors.IsForbidden(err) {
			t.Errorf("view can %s: %v", what, err)
		}
	}

	t.Run("tokens that are refused", func(t *testing.T) { a.refusals(t, l, admin.ID) })

	t.Run("a role that is taken away", func(t *testing.T) {
		bindings := a.admin.RbacV1().ClusterRoleBindings()
		b, err := bindings.Get(ctx, "craton:sign-in:view", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		b.Subjects = nil
		if _, err := bindings.Update(ctx, b, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		until(t, 5*time.Second, func() error {
			if err := second(view.CoreV1().ConfigMaps("default").Get(ctx, "a", metav1.GetOptions{})); !apierrors.IsForbidden(err) {
				return fmt.Errorf("still allowed: %v", err)
			}
			return nil
		})
	})

	t.Run("without Dex", func(t *testing.T) {
		l.stop()
		took := time.Hour
		for range 3 { // another program may have the processor once
			began := time.Now()
			if _, err := a.admin.CoreV1().ConfigMaps("default").Get(ctx, "a", metav1.GetOptions{}); err != nil {
				t.Errorf("with a certificate: %v", err)
			}
			took = min(took, time.Since(began))
		}
		if took > 2*time.Second {
			t.Errorf("with a certificate it takes %v", took)
		}
		if _, err := who(ctx, a.as(t, admin.ID)); err != nil {
			t.Errorf("with a token that is good, whose key is known: %v", err)
		}
		a.stop()
		began := time.Now()
		a.start()
		t.Logf("ready without Dex after %.1f s", time.Since(began).Seconds())
		if _, err := a.admin.CoreV1().ConfigMaps("default").Create(ctx, name("c"), metav1.CreateOptions{}); err != nil {
			t.Errorf("with a certificate, after a start: %v", err)
		}
		if _, err := who(ctx, a.as(t, admin.ID)); !apierrors.IsUnauthorized(err) {
			t.Errorf("with a token whose key nobody knows: %v", err)
		}
		a.lacks(t, l.place.Issuer, "has no keys of "+l.place.Issuer+" yet")
	})

	// As long as a token lasts a person keeps what its groups may do. The API server remembers
	// for ten seconds more that it has checked it.
	t.Run("a token that has ended", func(t *testing.T) {
		l.config["expiry"].(map[string]any)["idTokens"] = "6s"
		l.start(whole)
		a.lacks(t, l.place.Issuer, "") // it began without Dex
		tokens := l.tokensOf(t, anna)
		if _, err := who(ctx, a.as(t, tokens.ID)); err != nil {
			t.Errorf("an API server that lacks nothing, with a new token: %v", err)
		}
		const remembers = 10 * time.Second
		until(t, time.Minute, func() error {
			asked := time.Now()
			err := second(who(ctx, a.as(t, tokens.ID)))
			if apierrors.IsUnauthorized(err) {
				return nil
			}
			if late := asked.Sub(tokens.Expires) - remembers; err == nil && late > time.Second {
				t.Errorf("still taken %v after the API server should have forgotten it", late)
			}
			return fmt.Errorf("still taken: %v", err)
		})
		t.Logf("refused %.1f s after its end", time.Since(tokens.Expires).Seconds())
	})

	// Turned off, the file has no word of Dex; the API server reads it again by itself.
	t.Run("turned off", func(t *testing.T) {
		tokens := l.tokensOf(t, anna)
		until(t, 10*time.Second, func() error { return second(who(ctx, a.as(t, tokens.ID))) })
		off, err := manifests.Authentication(&plan.Plan{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(a.file, off, 0o600); err != nil { // in place, as up does
			t.Fatal(err)
		}
		a.lacks(t, "", "")
		if tokens, err = l.place.Renew(ctx, tokens); err != nil { // what was seen before is remembered for ten seconds
			t.Fatal(err)
		}
		if _, err := who(ctx, a.as(t, tokens.ID)); !apierrors.IsUnauthorized(err) {
			t.Errorf("turned off, a token is still taken: %v", err)
		}
	})
}

// refusals asks with what is no good token.
func (a *api) refusals(t *testing.T, l *lab, good string) {
	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	var head map[string]any
	if err := json.Unmarshal(decode(t, strings.Split(good, ".")[0]), &head); err != nil {
		t.Fatal(err)
	}
	named := func(token string) string { // with the name of Dex's own key
		head["alg"] = map[bool]string{true: "none", false: "RS256"}[strings.HasSuffix(token, ".")]
		data, _ := json.Marshal(head)
		_, rest, _ := strings.Cut(token, ".")
		return encode(data) + "." + rest
	}
	with := func(change map[string]any) map[string]any {
		c := claims(t, good)
		for k, v := range change {
			c[k] = v
		}
		return c
	}
	parts := strings.Split(good, ".")
	root, _ := json.Marshal(with(map[string]any{"groups": []string{"system:masters", "ops"}}))
	elsewhere := newLab(t, nil).tokensOf(t, anna).ID
	tokens := map[string]string{
		"no signature":                jwt(t, "none", claims(t, good), unsigned),
		"no signature, the key named": named(jwt(t, "none", claims(t, good), unsigned)),
		"a stranger's":                jwt(t, "RS256", claims(t, good), rs256(t, stranger)),
		"a stranger's, key named":     named(jwt(t, "RS256", claims(t, good), rs256(t, stranger))),
		"a secret that all know":      jwt(t, "HS256", claims(t, good), hs256([]byte(dex.Client))),
		"claims changed":              parts[0] + "." + encode(root) + "." + parts[2],
		"another issuer's":            elsewhere,
		"for another client":          l.tokenFor(t, "other", "openid email profile groups federated:id"),
		"without where it is from":    l.tokenFor(t, dex.Client, "openid email profile groups"),
		"the access token's place":    "x",
	}
	for what, token := range tokens {
		if me, err := who(t.Context(), a.as(t, token)); !apierrors.IsUnauthorized(err) {
			t.Errorf("%s: taken for %+v (%v)", what, me, err)
		}
	}
}

// tokenFor is a token that some client gets, with these scopes.
func (l *lab) tokenFor(t *testing.T, client, scope string) string {
	t.Helper()
	code, redirect := l.code(t, client, url.Values{"scope": {scope}})
	status, body := l.redeem(t, url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {redirect}, "client_id": {client}})
	token, ok := body["id_token"].(string)
	if !ok {
		t.Fatalf("no token for %s: %d %v", client, status, body)
	}
	return token
}
