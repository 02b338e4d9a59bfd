package dex

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"

	"craton.dev/craton/cluster"
	"craton.dev/craton/pki"
	"craton.dev/craton/plan"
)

const (
	// Path is where Dex is below the console's name.
	Path = "/dex"
	// Client is the id under which Dex knows craton login. It has no secret, as everybody has the
	// program.
	Client = "craton"
	// ConsoleClient is the id under which Dex knows the console, and ConsoleCallback the path to
	// which it sends browsers back.
	ConsoleClient   = "console"
	ConsoleCallback = "/callback"

	// groupAdministrators is the group of the first administrator.
	groupAdministrators = "administrators"
)

// Issuer is Dex's own URL, which its tokens name.
func Issuer(p *plan.Plan) string { return "https://" + p.Network.Console + Path }

// FirstAdministrator is the name by which the first administrator signs in.
func FirstAdministrator(p *plan.Plan) string { return "admin@" + p.Network.Console }

// Storage is where Dex keeps its state.
type Storage struct {
	Type   string         `json:"type"`
	Config map[string]any `json:"config,omitempty"`
}

// Serve is where Dex listens, and with which certificate.
type Serve struct{ Address, Cert, Key string }

// Config is Dex's configuration, in JSON. It holds secrets.
func Config(p *plan.Plan, s *pki.Secrets, storage Storage, serve Serve) ([]byte, error) {
	in := p.File.SignIn
	connectors, err := connectorsOf(p, s)
	if err != nil {
		return nil, err
	}
	passwords := []map[string]any{}
	add := func(id, email, hash string, groups []string) {
		passwords = append(passwords, map[string]any{
			"email": email, "username": email, "userID": id, "hash": hash, "groups": groups,
		})
	}
	if hash := s.SignIn.FirstAdministrator; in.FirstAdministrator && hash != "" {
		add("first-administrator", FirstAdministrator(p), hash, []string{groupAdministrators})
	}
	for _, u := range in.Users {
		// A user who is taken out and comes back under the same address is another one to nobody
		// but Dex, so the address will do as the id.
		add(u.Email, u.Email, u.PasswordHash, append([]string{}, u.Groups...))
	}
	session := strconv.Itoa(in.SessionHours) + "h"
	return json.Marshal(map[string]any{
		"issuer":  Issuer(p),
		"storage": storage,
		"web": map[string]any{
			"https": serve.Address, "tlsCert": serve.Cert, "tlsKey": serve.Key,
			// What the ingress, a pod, says about where somebody comes from.
			"clientRemoteIP": map[string]any{"header": "X-Forwarded-For", "trustedProxies": []string{p.Network.Pods.String()}},
			"headers": map[string]string{
				"X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
				"Strict-Transport-Security": "max-age=31536000",
				// Dex's pages have one script in them, and send forms to whoever redirects on.
				"Content-Security-Policy": "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'",
			},
		},
		"frontend": map[string]any{"issuer": p.Cluster},
		"oauth2": map[string]any{
			"skipApprovalScreen": true, // both clients are the cluster's own
			"grantTypes":         []string{"authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"},
		},
		"expiry": map[string]any{
			"idTokens":     strconv.Itoa(in.TokenMinutes) + "m",
			"authRequests": "10m", "deviceRequests": "5m",
			// API servers look for new keys when the last ones are to be replaced, and not before.
			"signingKeys": "6h",
			"refreshTokens": map[string]any{
				"validIfNotUsedFor": session, "absoluteLifetime": session,
				// Somebody whose connection broke while the next one was on its way may ask again.
				"reuseInterval": "10s",
			},
		},
		"connectors": connectors,
		"staticClients": []map[string]any{
			{"id": Client, "name": "craton login", "public": true},
			{"id": ConsoleClient, "name": "Console", "secret": s.SignIn.ConsoleClient,
				"redirectURIs": []string{"https://" + p.Network.Console + ConsoleCallback}},
		},
		"enablePasswordDB": in.FirstAdministrator || len(in.Users) > 0,
		"staticPasswords":  passwords,
	})
}

type connector struct {
	Type   string         `json:"type"`
	ID     string         `json:"id"`
	Name   string         `json:"name"`
	Config map[string]any `json:"config"`
}

// connectorsOf are Dex's connectors, by the fields that Dex's documentation names.
func connectorsOf(p *plan.Plan, s *pki.Secrets) ([]connector, error) {
	in := p.File.SignIn
	redirect := Issuer(p) + "/callback"
	out := []connector{}
	var broken error
	file := func(path string) []byte {
		data, ok := s.SignIn.Files[path]
		if !ok && broken == nil {
			broken = fmt.Errorf("manifests: signIn: %s was not read: the secrets were made for another file, make them again", path)
		}
		return data
	}
	secret := func(path string) string { return string(bytes.TrimSpace(file(path))) }
	for _, c := range in.OIDC {
		config := map[string]any{
			"issuer": c.Issuer, "clientID": c.ClientID, "clientSecret": secret(c.ClientSecretFile), "redirectURI": redirect,
			// Dex calls it insecure to believe a provider's groups. Here they are that provider's
			// and nobody else's.
			"insecureEnableGroups": true, "getUserInfo": true, "scopes": []string{"profile", "email", "groups"},
			"claimMapping": map[string]any{"groups": c.GroupsClaim},
		}
		if c.CAFile != "" {
			config["rootCAs"] = []string{string(file(c.CAFile))}
		}
		out = append(out, connector{"oidc", c.ID, c.Name, config})
	}
	for _, c := range in.LDAP {
		out = append(out, connector{"ldap", c.ID, c.Name, ldapConfig(&c, file, secret)})
	}
	for _, c := range in.GitHub {
		var organizations []map[string]any
		for _, o := range c.Organizations {
			organizations = append(organizations, map[string]any{"name": o})
		}
		out = append(out, connector{"github", c.ID, c.Name, map[string]any{
			"clientID": c.ClientID, "clientSecret": secret(c.ClientSecretFile), "redirectURI": redirect,
			"orgs": organizations, "teamNameField": "slug", "useLoginAsID": false,
		}})
	}
	for _, c := range in.SAML {
		config := map[string]any{
			"ssoURL": c.URL, "caData": file(c.CAFile), "redirectURI": redirect,
			"usernameAttr": c.UserAttribute, "emailAttr": c.EmailAttribute,
		}
		if c.GroupsAttribute != "" {
			config["groupsAttr"] = c.GroupsAttribute
		}
		if c.EntityIssuer != "" {
			config["entityIssuer"] = c.EntityIssuer
		}
		out = append(out, connector{"saml", c.ID, c.Name, config})
	}
	return out, broken
}

func ldapConfig(c *cluster.LDAP, file func(string) []byte, secret func(string) string) map[string]any {
	config := map[string]any{
		"host": c.Host, "startTLS": c.StartTLS, "usernamePrompt": "User name",
		"userSearch": map[string]any{
			"baseDN": c.UserBaseDN, "filter": c.UserFilter, "username": c.UserAttribute,
			"idAttr": c.IDAttribute, "emailAttr": c.EmailAttribute, "nameAttr": c.UserAttribute,
		},
		"groupSearch": map[string]any{
			"baseDN": c.GroupBaseDN, "filter": c.GroupFilter, "nameAttr": c.GroupAttribute,
			"userMatchers": []map[string]any{{"userAttr": c.MemberValue, "groupAttr": c.MemberAttribute}},
		},
	}
	if c.BindDN != "" {
		config["bindDN"], config["bindPW"] = c.BindDN, secret(c.BindPasswordFile)
	}
	if c.CAFile != "" {
		config["rootCAData"] = file(c.CAFile)
	}
	return config
}

func port(n int) string { return strconv.Itoa(n) }
