package signin_test

import (
	"crypto/tls"
	"errors"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jimlambrt/gldap"

	"craton.dev/craton/cluster"
	"craton.dev/craton/pki"
)

// directory is an LDAP server with one person and the groups that she is in now.
type directory struct {
	mu     sync.Mutex
	groups []string
	asked  []string
}

const (
	people   = "ou=people,dc=example,dc=org"
	groupsDN = "ou=groups,dc=example,dc=org"
	carla    = "uid=carla," + people
	reader   = "cn=craton,dc=example,dc=org"
)

func (d *directory) set(groups ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.groups = groups
}

func (d *directory) bind(w *gldap.ResponseWriter, r *gldap.Request) {
	answer := r.NewBindResponse(gldap.WithResponseCode(gldap.ResultInvalidCredentials))
	if m, err := r.GetSimpleBindMessage(); err == nil && (m.UserName == carla && m.Password == password || m.UserName == reader && m.Password == "let me read") {
		answer.SetResultCode(gldap.ResultSuccess)
	}
	w.Write(answer)
}

func (d *directory) search(w *gldap.ResponseWriter, r *gldap.Request) {
	done := r.NewSearchDoneResponse(gldap.WithResponseCode(gldap.ResultSuccess))
	defer func() { w.Write(done) }()
	m, err := r.GetSearchMessage()
	if err != nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = append(d.asked, m.BaseDN+" "+m.Filter)
	switch {
	case m.BaseDN == people && (m.Filter == "(&(objectClass=person)(uid=carla))" || strings.Contains(m.Filter, "(uid=*)")):
		w.Write(r.NewSearchResponseEntry(carla, gldap.WithAttributes(map[string][]string{
			"uid": {"carla"}, "entryUUID": {"17"}, "mail": {"carla@example.org"},
		})))
	case m.BaseDN == groupsDN && m.Filter == "(&(objectClass=groupOfNames)(member="+carla+"))":
		for _, g := range d.groups {
			w.Write(r.NewSearchResponseEntry("cn="+g+","+groupsDN, gldap.WithAttributes(map[string][]string{"cn": {g}})))
		}
	}
}

// Somebody whom a directory knows signs in by it, with its groups as they are now, and with the
// next token as they are then. Who is not in it, or types what an LDAP filter understands, does
// not.
func TestDirectory(t *testing.T) {
	d := &directory{groups: []string{"ops", "system:masters"}}
	address := freeAddress(t)
	l := newLabWith(t, func(l *lab, in *cluster.SignIn, s *pki.SignIn) {
		pair := l.serving(t)
		serving, err := tls.X509KeyPair(pair.Cert, pair.Key)
		if err != nil {
			t.Fatal(err)
		}
		server, err1 := gldap.NewServer()
		mux, err2 := gldap.NewMux()
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		if err := errors.Join(mux.Bind(d.bind), mux.Search(d.search), server.Router(mux)); err != nil {
			t.Fatal(err)
		}
		go server.Run(address, gldap.WithTLSConfig(&tls.Config{Certificates: []tls.Certificate{serving}}))
		t.Cleanup(func() { server.Stop() })
		ca, word := l.write(t, "ldap-ca", l.ca.Cert), l.write(t, "ldap-word", []byte("let me read\n"))
		s.Files = map[string][]byte{ca: l.ca.Cert, word: []byte("let me read\n")}
		in.LDAP = []cluster.LDAP{{ID: "dir", Name: "Directory", Host: address, CAFile: ca, BindDN: reader, BindPasswordFile: word,
			UserBaseDN: people, UserFilter: "(objectClass=person)", UserAttribute: "uid", IDAttribute: "entryUUID", EmailAttribute: "mail",
			GroupBaseDN: groupsDN, GroupFilter: "(objectClass=groupOfNames)", MemberAttribute: "member", MemberValue: "DN", GroupAttribute: "cn"}}
		in.Users = nil // then people are asked for nothing but the directory's names
	}, func(config map[string]any) {
		config["expiry"].(map[string]any)["refreshTokens"].(map[string]any)["reuseInterval"] = "100ms"
	})
	last := make(chan answer, 1)
	tokens, err := l.place.Browser(limited(t, time.Minute), l.asPerson("carla", password, last))
	if err != nil {
		t.Fatalf("%v: %+v", err, <-last)
	}
	from, _ := claims(t, tokens.ID)["federated_claims"].(map[string]any)
	if tokens.Name != "carla@example.org" || !slices.Equal(tokens.Groups, []string{"ops", "system:masters"}) || from["connector_id"] != "dir" || from["user_id"] != "17" {
		t.Errorf("%+v %v", tokens, from)
	}
	d.set("ops")
	time.Sleep(200 * time.Millisecond)
	if next, err := l.place.Renew(t.Context(), tokens); err != nil || !slices.Equal(next.Groups, []string{"ops"}) {
		t.Errorf("after she lost a group: %+v %v", next, err)
	}
	client := l.client()
	q := url.Values{"client_id": {"craton"}, "response_type": {"code"}, "redirect_uri": {"http://127.0.0.1:1/callback"}, "state": {"s"}, "scope": {"openid"}}
	for _, c := range []struct{ name, word string }{
		{"carla", "wrong"}, {"carla", ""}, {"nobody", password}, {"*", password}, {"carla)(uid=*", password}, {"*)(objectClass=*", password},
	} {
		got, err := l.signIn(client, l.place.Issuer+"/auth?"+q.Encode(), c.name, c.word)
		if err != nil || !strings.Contains(got.body, "Invalid") {
			t.Errorf("%q with %q: %v %+v", c.name, c.word, err, got)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, asked := range d.asked {
		if strings.Contains(asked, "*") {
			t.Errorf("the directory was asked for %s", asked)
		}
	}
}
