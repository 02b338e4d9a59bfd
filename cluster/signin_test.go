package cluster

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/bcrypt"
	"pgregory.net/rapid"
)

const someHash = "$2a$10$7uKeAavQfKrcFUNqzcEfM.EUQVhkx/6cyJCFCUUz0dCkG7ZCqtdcO"

const everyPlace = `name: x
options: {signIn: true}
signIn:
  firstAdministrator: false
  tokenMinutes: 5
  sessionHours: 24
  roles:
  - {group: "local:ops", role: cluster-admin}
  - {group: "dir:dev team", role: view}
  users:
  - {email: anna@example.org, passwordHash: "` + someHash + `", groups: [ops, on call]}
  - {email: ben@example.org, passwordHash: "` + someHash + `"}
  oidc:
  - {id: company, name: Company, issuer: "https://login.example.org/x", clientID: c, clientSecretFile: s, groupsClaim: roles}
  ldap:
  - id: dir
    name: Directory
    host: ldap.example.org:389
    startTLS: true
    caFile: /ca
    bindDN: cn=c
    bindPasswordFile: pw
    userBaseDN: ou=p
    groupBaseDN: ou=g
  github:
  - {id: gh, name: GitHub, clientID: "12", clientSecretFile: s, organizations: [one, two]}
  saml:
  - {id: sso, name: SSO, url: "https://sso.example.org/saml", caFile: c, groupsAttribute: groups}
`

// Every field of sign-in arrives where it belongs, with the defaults of rows filled in.
func TestParseSignIn(t *testing.T) {
	c, err := Parse("c.yaml", []byte(everyPlace))
	if err != nil {
		t.Fatal(err)
	}
	want := SignIn{
		TokenMinutes: 5, SessionHours: 24,
		Roles: []Role{{"local:ops", RoleAdmin}, {"dir:dev team", RoleView}},
		Users: []User{{"anna@example.org", someHash, []string{"ops", "on call"}}, {Email: "ben@example.org", PasswordHash: someHash}},
		OIDC:  []OIDC{{ID: "company", Name: "Company", Issuer: "https://login.example.org/x", ClientID: "c", ClientSecretFile: "s", GroupsClaim: "roles"}},
		LDAP: []LDAP{{ID: "dir", Name: "Directory", Host: "ldap.example.org:389", StartTLS: true, CAFile: "/ca", BindDN: "cn=c", BindPasswordFile: "pw",
			UserBaseDN: "ou=p", UserAttribute: "uid", IDAttribute: "uid", EmailAttribute: "mail",
			GroupBaseDN: "ou=g", MemberAttribute: "member", MemberValue: "DN", GroupAttribute: "cn"}},
		GitHub: []GitHub{{"gh", "GitHub", "12", "s", []string{"one", "two"}}},
		SAML:   []SAML{{ID: "sso", Name: "SSO", URL: "https://sso.example.org/saml", CAFile: "c", UserAttribute: "name", EmailAttribute: "email", GroupsAttribute: "groups"}},
	}
	if d := cmp.Diff(want, c.SignIn); d != "" {
		t.Error(d)
	}
	again, err := Parse("again.yaml", c.Canonical())
	if err != nil {
		t.Fatalf("%v\n%s", err, c.Canonical())
	}
	if d := cmp.Diff(c, again); d != "" {
		t.Error(d)
	}
	if err := schemaSays(compiledSchema(t), []byte(everyPlace)); err != nil {
		t.Errorf("the schema: %v", err)
	}
	if err := c.resolve("/somewhere"); err != nil || c.SignIn.LDAP[0].BindPasswordFile != "/somewhere/pw" || c.SignIn.LDAP[0].CAFile != "/ca" || c.SignIn.OIDC[0].CAFile != "" {
		t.Errorf("%v: files are %+v", err, c.SignIn)
	}
	if got := c.SignIn.Connectors(); strings.Join(got, " ") != "company dir gh sso" {
		t.Errorf("places are %v", got)
	}
	// Each field that names a file is one that resolve makes absolute.
	var names func(all []field) int
	names = func(all []field) (n int) {
		for _, f := range all {
			if strings.HasSuffix(f.name, "File") {
				n++
			}
			n += names(f.fields)
		}
		return n
	}
	if got, want := len(c.SignIn.files()), names(signInFields()); got != want {
		t.Errorf("%d files are resolved, the table has %d", got, want)
	}
}

// Faults are at the row and field where they are, and no message shows what may be a password.
func TestParseSignInFaults(t *testing.T) {
	const on = "=name: x\noptions: {signIn: true}\nsignIn:\n"
	user := func(rest string) string { return on + "  users:\n  - {email: a@b, " + rest + "}" }
	for _, c := range []struct{ file, at, path, says string }{
		{"signIn: {}", "2:9", "signIn", "is given, but options.signIn is off"},
		{"options: {console: true}", "2:20", "options.console", "options.signIn is off"},
		{"options: {gateway: true}", "2:20", "options.gateway", "options.ingress is off"},
		{on + "  roles: 5", "4:10", "signIn.roles", "found the number 5, expected a list of sections"},
		{on + "  roles: [5]", "4:11", "signIn.roles[0]", "found the number 5, expected a section"},
		{on + "  roles:\n  - {group: ops, role: view}", "5:13", "signIn.roles[0].group", "does not say where the group comes from"},
		{on + "  roles:\n  - {group: 'x:ops', role: view}", "5:13", "signIn.roles[0].group", "there is no place \"x\""},
		{on + "  roles:\n  - {group: 'local:ops', role: edit}", "5:32", "signIn.roles[0].role", "expected cluster-admin, view or none"},
		{on + "  roles:\n  - {group: 'local:o', role: view}\n  - {group: 'local:o', role: none}", "6:13", "signIn.roles[1].group", "is in the list twice, first in line 5"},
		{on + "  roles:\n  - {role: view}", "5:5", "signIn.roles[0].group", "is missing"},
		{on + "  users:\n  - {email: Anna@b, passwordHash: '" + someHash + "'}", "5:13", "signIn.users[0].email", "has capital letters"},
		{on + "  users:\n  - {email: anna, passwordHash: '" + someHash + "'}", "5:13", "signIn.users[0].email", "is not an e-mail address"},
		{user("passwordHash: secret"), "5:32", "signIn.users[0].passwordHash", "is not a hash of bcrypt's"},
		{user("passwordHash: '$2a$04" + someHash[6:] + "'"), "5:32", "signIn.users[0].passwordHash", "has a cost of 4"},
		{user("passwordHash: '" + someHash + "', group: [a]"), "5:96", "signIn.users[0].group", "did you mean groups?"},
		{on + "  oidc:\n  - {id: local, name: N, issuer: 'https://a.b', clientID: c, clientSecretFile: f}", "5:10", "signIn.oidc[0].id", "is where this file's own users are"},
		{on + "  oidc:\n  - {id: a, name: N, issuer: 'http://a.b', clientID: c, clientSecretFile: f}", "5:30", "signIn.oidc[0].issuer", "is not https"},
		{on + "  oidc:\n  - {id: a, name: N, issuer: 'https://a.b:8443', clientID: c, clientSecretFile: f}", "5:30", "signIn.oidc[0].issuer", "has a port"},
		{on + "  oidc:\n  - {id: a, name: N, issuer: 'https://a.b', clientID: c, clientSecretFile: f}\n" +
			"  github:\n  - {id: a, name: N, clientID: c, clientSecretFile: f, organizations: [o]}", "7:10", "signIn.github[0].id", "in line 5"},
		{on + "  ldap:\n  - {id: a, name: N, host: 'a.b:3269', userBaseDN: u, groupBaseDN: g}", "5:28", "signIn.ldap[0].host", "another port than LDAP's"},
		{on + "  ldap:\n  - {id: a, name: N, host: a.b, userBaseDN: u, groupBaseDN: g, bindDN: d}", "5:72", "signIn.ldap[0].bindDN", "is given without bindPasswordFile"},
		{on + "  github:\n  - {id: a, name: N, clientID: c, clientSecretFile: f, organizations: []}", "5:71", "signIn.github[0].organizations", "is empty"},
		{on + "  firstAdministrator: false", "4:23", "signIn.firstAdministrator", "nobody could sign in"},
		{on + "  tokenMinutes: 61", "4:17", "signIn.tokenMinutes", "too large"},
		{on + "  users: &a []", "4:10", "signIn.users", "anchors"},
		{on + "  users: [*a]", "4:11", "", "aliases"},
	} {
		checkFault(t, c.file, c.at, c.path, c.says)
	}
	_, err := Parse("c.yaml", []byte(strings.TrimPrefix(user("passwordHash: correct-horse"), "=")))
	if err == nil || strings.Contains(err.Error(), "correct-horse") {
		t.Errorf("the message shows a password: %v", err)
	}
}

// randomSignIn is part of randomCluster.
func randomSignIn(t *rapid.T) SignIn {
	s := Default("").SignIn
	s.FirstAdministrator = rapid.Bool().Draw(t, "first")
	s.TokenMinutes = rapid.IntRange(1, 60).Draw(t, "minutes")
	word := rapid.StringMatching(`[a-z]([-a-z0-9 :]{0,8}[a-z0-9])?`)
	for i := range rapid.IntRange(0, 3).Draw(t, "users") {
		s.Users = append(s.Users, User{Email: string(rune('a'+i)) + "@example.org", PasswordHash: someHash, Groups: rapid.SliceOfNDistinct(word, 0, 3, rapid.ID).Draw(t, "groups")})
		if len(s.Users[i].Groups) == 0 {
			s.Users[i].Groups = nil
		}
		s.Roles = append(s.Roles, Role{LocalUsers + ":" + string(rune('a'+i)) + word.Draw(t, "group"), rapid.SampledFrom([]string{RoleAdmin, RoleView, RoleNone}).Draw(t, "role")})
	}
	if len(s.Users) == 0 {
		s.FirstAdministrator = true
	}
	for range rapid.IntRange(0, 1).Draw(t, "github") {
		s.GitHub = append(s.GitHub, GitHub{ID: "gh", Name: word.Draw(t, "name"), ClientID: "c", ClientSecretFile: filepath.Join("/", "f"), Organizations: []string{"o"}})
	}
	return s
}

// The examples' hash is of a password that nobody uses, and its form is bcrypt's.
func TestExampleHash(t *testing.T) {
	if _, err := bcrypt.Cost([]byte(someHash)); err != nil {
		t.Error(err)
	}
	// The cluster file is kept as JSON beside a cluster: nothing of sign-in is lost there.
	c, err := Parse("c.yaml", []byte(everyPlace))
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	again := &Cluster{}
	if err := json.Unmarshal(data, again); err != nil || !cmp.Equal(c, again) {
		t.Errorf("%v: %s", err, cmp.Diff(c, again))
	}
}
