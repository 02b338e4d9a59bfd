package signin_test

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"craton.dev/craton/cluster"
	"craton.dev/craton/pki"
	"craton.dev/craton/render/part/dex"
)

// Dex takes the configuration of each place that the cluster file can name, and shows people all
// of them. Somebody who signs in elsewhere (another Dex here) has that place's groups, as its.
func TestElsewhere(t *testing.T) {
	const secret = "between the two"
	company := newLab(t, nil)
	here := newLabWith(t, func(l *lab, in *cluster.SignIn, s *pki.SignIn) {
		ca := l.write(t, "company-ca", company.ca.Cert)
		word := l.write(t, "word", []byte(secret+"\n"))
		s.Files = map[string][]byte{ca: company.ca.Cert, word: []byte(secret + "\n")}
		in.OIDC = []cluster.OIDC{{ID: "company", Name: "The Company", Issuer: company.place.Issuer, ClientID: "here", ClientSecretFile: word, CAFile: ca, GroupsClaim: "groups"}}
		in.LDAP = []cluster.LDAP{{ID: "dir", Name: "The Directory", Host: "localhost:636", CAFile: ca, BindDN: "cn=c", BindPasswordFile: word,
			UserBaseDN: "ou=p", UserAttribute: "uid", IDAttribute: "uid", EmailAttribute: "mail",
			GroupBaseDN: "ou=g", MemberAttribute: "member", MemberValue: "DN", GroupAttribute: "cn"}}
		in.GitHub = []cluster.GitHub{{ID: "gh", Name: "The Hub", ClientID: "c", ClientSecretFile: word, Organizations: []string{"o"}}}
		in.SAML = []cluster.SAML{{ID: "sso", Name: "The SSO", URL: "https://sso.example.org/saml", CAFile: ca, UserAttribute: "name", EmailAttribute: "email", GroupsAttribute: "groups"}}
	}, nil)
	company.stop()
	company.config["staticClients"] = append(company.config["staticClients"].([]any), map[string]any{
		"id": "here", "name": "Here", "secret": secret, "redirectURIs": []string{here.place.Issuer + "/callback"},
	})
	company.start(t)
	if said := here.said(); strings.Contains(said, "Failed to open connector") || strings.Contains(said, secret) {
		t.Errorf("Dex refuses a place, or tells a secret:\n%s", said)
	}
	tokens, err := here.place.Browser(limited(t, time.Minute), func(address string) error {
		go func() {
			browser := here.client()
			// Both labs have an authority of their own; this browser trusts both.
			trust := browser.Transport.(*http.Transport).TLSClientConfig.RootCAs
			trust.AppendCertsFromPEM(company.ca.Cert)
			page, err := read(browser.Get(address))
			if err != nil {
				t.Error(err)
				return
			}
			for _, name := range []string{"The Company", "The Directory", "The Hub", "The SSO", "Password"} {
				if !strings.Contains(page.body, name) {
					t.Errorf("people are not shown %s:\n%s", name, page.body)
				}
			}
			link := regexp.MustCompile(`href="([^"]*/auth/company[^"]*)"`).FindStringSubmatch(page.body)
			if link == nil {
				t.Errorf("there is no way to the company:\n%s", page.body)
				return
			}
			to, _ := page.at.Parse(html.UnescapeString(link[1]))
			login, err := read(browser.Get(to.String()))
			if err != nil {
				t.Error(err)
				return
			}
			if got, err := submit(browser, login, url.Values{"login": {anna}, "password": {password}}); err != nil || !strings.Contains(got.body, "You can close this window") {
				t.Errorf("%v %+v", err, got)
			}
		}()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	from, _ := claims(t, tokens.ID)["federated_claims"].(map[string]any)
	if from["connector_id"] != "company" || tokens.Name != anna || !slices.Equal(tokens.Groups, []string{"ops", "night shift"}) {
		t.Errorf("tokens are %+v, from %v", tokens, from)
	}
	next, err := here.place.Renew(t.Context(), tokens)
	if err != nil || len(next.Groups) != 2 {
		t.Errorf("renewed at the company: %+v %v", next, err)
	}
}

// The names of roles' groups are those that the API server gives people.
func TestGroupNames(t *testing.T) {
	if got := dex.Group("company:ops"); got != "sign-in:company:ops" {
		t.Error(got)
	}
}
