package cluster

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

const (
	emailPattern = `^[^\s@:]+@[^\s@:]+$`
	wherePattern = `^[a-z0-9]([-a-z0-9]*[a-z0-9])?:\S(.*\S)?$`
	httpsPattern = `^https://[^/\s?#@:]+(/[^\s?#]*)?$`
	hostPattern  = `^[^\s/:@]+(:(389|636))?$`
	seenPattern  = `\S`
)

func signInFields() []field {
	return []field{
		{name: "firstAdministrator", kind: boolean, standard: true,
			doc: "Whether there is a user admin@<name>.<subdomain> who may do everything. craton up makes the password and shows it once.",
			at:  func(c *Cluster) any { return &c.SignIn.FirstAdministrator }},
		{name: "tokenMinutes", kind: number, standard: 10, least: 1, most: 60,
			doc:     "How long a token is good for. A person who loses a group keeps its rights for so long, and no longer.",
			accepts: "1 to 60",
			at:      func(c *Cluster) any { return &c.SignIn.TokenMinutes }},
		{name: "sessionHours", kind: number, standard: 12, least: 1, most: 720,
			doc:     "After how long a person has to sign in again. Till then tokens are renewed by themselves.",
			accepts: "1 to 720",
			at:      func(c *Cluster) any { return &c.SignIn.SessionHours }},
		{name: "roles", kind: table, otherwise: "nobody but the first administrator may do anything",
			doc:  "What a group may do.",
			rows: rowsOf("group", func(c *Cluster) *[]Role { return &c.SignIn.Roles }),
			fields: []field{
				{name: "group", required: true, check: checkGroup, pattern: wherePattern, example: LocalUsers + ":developers",
					doc:     "A group, with where it comes from before the colon: " + LocalUsers + " for users of this file, the id of another place for its groups.",
					accepts: "WHERE:NAME",
					at:      func(c *Cluster) any { return &c.SignIn.Roles[0].Group }},
				{name: "role", required: true, enum: values(RoleAdmin, RoleView, RoleNone), example: RoleView,
					doc: "cluster-admin: everything. view: see everything but secrets, change nothing. none: sign in, and nothing else.",
					at:  func(c *Cluster) any { return &c.SignIn.Roles[0].Role }},
			}},
		{name: "users", kind: table, otherwise: "nobody but the first administrator",
			doc:  "People whom the cluster knows itself.",
			rows: rowsOf("email", func(c *Cluster) *[]User { return &c.SignIn.Users }),
			fields: []field{
				{name: "email", required: true, check: checkEmail, pattern: emailPattern, example: "anna@example.org",
					doc: "The name to sign in with.", accepts: "an e-mail address in lower case",
					at: func(c *Cluster) any { return &c.SignIn.Users[0].Email }},
				{name: "passwordHash", required: true, check: checkHash, pattern: `^\$2[aby]\$[0-9]{2}\$[./A-Za-z0-9]{53}$`,
					example: "$2a$10$7uKeAavQfKrcFUNqzcEfM.EUQVhkx/6cyJCFCUUz0dCkG7ZCqtdcO",
					doc:     "The password's hash. craton password makes it.",
					accepts: "a hash of bcrypt's with a cost of 10 to 16",
					at:      func(c *Cluster) any { return &c.SignIn.Users[0].PasswordHash }},
				{name: "groups", kind: list, otherwise: "none", check: checkSeen, pattern: `^\S(.*\S)?$`, accepts: "names of groups", example: []string{"developers"},
					doc: "The groups that the person is in.",
					at:  func(c *Cluster) any { return &c.SignIn.Users[0].Groups }},
			}},
		{name: "oidc", kind: table, otherwise: "none", doc: "Places to sign in at that speak OpenID Connect.",
			rows: rowsOf("", func(c *Cluster) *[]OIDC { return &c.SignIn.OIDC }), fields: oidcFields()},
		{name: "ldap", kind: table, otherwise: "none", doc: "Directories of people and groups.",
			rows: rowsOf("", func(c *Cluster) *[]LDAP { return &c.SignIn.LDAP }), fields: ldapFields()},
		{name: "github", kind: table, otherwise: "none", doc: "Organisations of GitHub whose members may sign in.",
			rows: rowsOf("", func(c *Cluster) *[]GitHub { return &c.SignIn.GitHub }), fields: githubFields()},
		{name: "saml", kind: table, otherwise: "none", doc: "Identity providers that speak SAML 2.0.",
			rows: rowsOf("", func(c *Cluster) *[]SAML { return &c.SignIn.SAML }), fields: samlFields()},
	}
}

// placeFields are what each place to sign in at has.
func placeFields(id, name string, atID, atName func(*Cluster) *string) []field {
	return []field{
		{name: "id", required: true, check: checkPlace, pattern: labelPattern, example: id,
			doc:     "Its name in this file: groups of it are called <id>:<group>.",
			accepts: "a DNS label other than " + LocalUsers,
			at:      func(c *Cluster) any { return atID(c) }},
		{name: "name", required: true, check: checkSeen, pattern: seenPattern, accepts: "text", example: name,
			doc: "What people read on the button.",
			at:  func(c *Cluster) any { return atName(c) }},
	}
}

// said is a text that is the other system's to understand.
func said(name, doc, standard, example string, at func(*Cluster) *string) field {
	f := field{name: name, doc: doc, check: checkSeen, pattern: seenPattern, accepts: "text",
		at: func(c *Cluster) any { return at(c) }}
	if standard != "" {
		f.standard = standard
	} else {
		f.required, f.example = true, example
	}
	return f
}

func optional(f field, otherwise string) field {
	f.required, f.otherwise = false, otherwise
	return f
}

func file(name, doc, example string, at func(*Cluster) *string) field {
	return field{name: name, required: true, check: checkFile, pattern: seenPattern, example: example, doc: doc,
		accepts: "an absolute path, or one from the folder of the cluster file",
		at:      func(c *Cluster) any { return at(c) }}
}

func oidcFields() []field {
	at := func(c *Cluster) *OIDC { return &c.SignIn.OIDC[0] }
	return append(placeFields("company", "Company", func(c *Cluster) *string { return &at(c).ID }, func(c *Cluster) *string { return &at(c).Name }),
		field{name: "issuer", required: true, check: checkHTTPS, pattern: httpsPattern, example: "https://login.example.org",
			doc: "Its issuer URL.", accepts: "an https URL without a port: 443 is the way outwards that is open",
			at: func(c *Cluster) any { return &at(c).Issuer }},
		said("clientID", "The id under which it knows this cluster. Its redirect URL is https://<name>.<subdomain>/dex/callback.", "", "craton", func(c *Cluster) *string { return &at(c).ClientID }),
		file("clientSecretFile", "File with the secret that belongs to clientID.", "oidc-secret", func(c *Cluster) *string { return &at(c).ClientSecretFile }),
		optional(file("caFile", "Certificates of the authorities that may sign its certificate, PEM.", "company-ca.crt", func(c *Cluster) *string { return &at(c).CAFile }), "the public ones"),
		said("groupsClaim", "The claim that lists a person's groups.", "groups", "", func(c *Cluster) *string { return &at(c).GroupsClaim }),
	)
}

func ldapFields() []field {
	at := func(c *Cluster) *LDAP { return &c.SignIn.LDAP[0] }
	return append(placeFields("directory", "Directory", func(c *Cluster) *string { return &at(c).ID }, func(c *Cluster) *string { return &at(c).Name }),
		field{name: "host", required: true, check: checkLDAPHost, pattern: hostPattern, example: "ldap.example.org",
			doc: "Its name or address, which its certificate has to have.", accepts: "HOST or HOST:PORT, with LDAP's ports 636 and 389",
			at: func(c *Cluster) any { return &at(c).Host }},
		field{name: "startTLS", kind: boolean, standard: false,
			doc: "Begin on port 389 without TLS and change to it, rather than speak TLS on 636. There is no way without TLS.",
			at:  func(c *Cluster) any { return &at(c).StartTLS }},
		optional(file("caFile", "Certificates of the authorities that may sign its certificate, PEM.", "ldap-ca.crt", func(c *Cluster) *string { return &at(c).CAFile }), "the public ones"),
		optional(said("bindDN", "Who craton is to the directory when it looks people up.", "", "cn=craton,dc=example,dc=org", func(c *Cluster) *string { return &at(c).BindDN }), "nobody: the directory is asked anonymously"),
		optional(file("bindPasswordFile", "File with the password that belongs to bindDN.", "ldap-password", func(c *Cluster) *string { return &at(c).BindPasswordFile }), "none"),
		said("userBaseDN", "Below what people are.", "", "ou=people,dc=example,dc=org", func(c *Cluster) *string { return &at(c).UserBaseDN }),
		optional(said("userFilter", "Which entries are people.", "", "(objectClass=person)", func(c *Cluster) *string { return &at(c).UserFilter }), "all below userBaseDN"),
		said("userAttribute", "The attribute that people type as their name.", "uid", "", func(c *Cluster) *string { return &at(c).UserAttribute }),
		said("idAttribute", "The attribute that stays the same when a name changes.", "uid", "", func(c *Cluster) *string { return &at(c).IDAttribute }),
		said("emailAttribute", "The attribute with the e-mail address.", "mail", "", func(c *Cluster) *string { return &at(c).EmailAttribute }),
		said("groupBaseDN", "Below what groups are.", "", "ou=groups,dc=example,dc=org", func(c *Cluster) *string { return &at(c).GroupBaseDN }),
		optional(said("groupFilter", "Which entries are groups.", "", "(objectClass=groupOfNames)", func(c *Cluster) *string { return &at(c).GroupFilter }), "all below groupBaseDN"),
		said("memberAttribute", "The attribute of a group that lists its members.", "member", "", func(c *Cluster) *string { return &at(c).MemberAttribute }),
		said("memberValue", "The attribute of a person that stands in that list; DN for the entry's own name.", "DN", "", func(c *Cluster) *string { return &at(c).MemberValue }),
		said("groupAttribute", "The attribute with a group's name.", "cn", "", func(c *Cluster) *string { return &at(c).GroupAttribute }),
	)
}

func githubFields() []field {
	at := func(c *Cluster) *GitHub { return &c.SignIn.GitHub[0] }
	return append(placeFields("github", "GitHub", func(c *Cluster) *string { return &at(c).ID }, func(c *Cluster) *string { return &at(c).Name }),
		said("clientID", "The id of the OAuth app. Its callback URL is https://<name>.<subdomain>/dex/callback.", "", "0123456789abcdef", func(c *Cluster) *string { return &at(c).ClientID }),
		file("clientSecretFile", "File with the OAuth app's secret.", "github-secret", func(c *Cluster) *string { return &at(c).ClientSecretFile }),
		field{name: "organizations", kind: list, required: true, check: checkOrganization, pattern: `^[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?$`,
			doc:     "Organisations whose members may sign in. Their groups are called <id>:<organization>:<team>.",
			accepts: "names of one or more organisations", example: []string{"example"},
			at: func(c *Cluster) any { return &at(c).Organizations }},
	)
}

func samlFields() []field {
	at := func(c *Cluster) *SAML { return &c.SignIn.SAML[0] }
	return append(placeFields("sso", "Single sign-on", func(c *Cluster) *string { return &at(c).ID }, func(c *Cluster) *string { return &at(c).Name }),
		field{name: "url", required: true, check: checkHTTPS, pattern: httpsPattern, example: "https://sso.example.org/saml",
			doc: "Where browsers are sent to sign in.", accepts: "an https URL without a port",
			at: func(c *Cluster) any { return &at(c).URL }},
		file("caFile", "Certificate with which its answers are signed, PEM.", "saml.crt", func(c *Cluster) *string { return &at(c).CAFile }),
		optional(said("entityIssuer", "The name under which it knows this cluster.", "", "craton", func(c *Cluster) *string { return &at(c).EntityIssuer }), "https://<name>.<subdomain>/dex/callback"),
		said("userAttribute", "The attribute with the person's name.", "name", "", func(c *Cluster) *string { return &at(c).UserAttribute }),
		said("emailAttribute", "The attribute with the e-mail address.", "email", "", func(c *Cluster) *string { return &at(c).EmailAttribute }),
		optional(said("groupsAttribute", "The attribute with the groups.", "", "groups", func(c *Cluster) *string { return &at(c).GroupsAttribute }), "people have no groups"),
	)
}

var (
	isEmail = regexp.MustCompile(emailPattern)
	isWhere = regexp.MustCompile(wherePattern)
	isHTTPS = regexp.MustCompile(httpsPattern)
	isHost  = regexp.MustCompile(hostPattern)
	isOrg   = regexp.MustCompile(`^[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?$`)
)

// longestText is the most bytes of what another system is to understand.
const longestText = 256

func checkSeen(s string) (string, string) {
	switch {
	case strings.TrimSpace(s) != s || s == "":
		return fmt.Sprintf("%s is empty, or begins or ends with a space", quote(s)), ""
	case strings.ContainsFunc(s, unprintable):
		return fmt.Sprintf("%s has characters that cannot be seen", quote(s)), ""
	case len(s) > longestText:
		return fmt.Sprintf("has %d bytes, expected at most %d", len(s), longestText), ""
	}
	return "", ""
}

func checkEmail(s string) (string, string) {
	if fault, hint := checkSeen(s); fault != "" {
		return fault, hint
	}
	switch {
	case !isEmail.MatchString(s):
		return fmt.Sprintf("%s is not an e-mail address", quote(s)), "write it like anna@example.org"
	case s != strings.ToLower(s):
		return fmt.Sprintf("%s has capital letters", quote(s)), "write " + strings.ToLower(s)
	}
	return "", ""
}

// checkHash never shows the text: somebody may have put the password itself there.
func checkHash(s string) (string, string) {
	cost, err := bcrypt.Cost([]byte(s))
	switch {
	case err != nil || len(s) != 60:
		return "is not a hash of bcrypt's", "craton password makes one; the password itself must not stand in this file"
	case cost < 10 || cost > 16:
		return fmt.Sprintf("has a cost of %d, expected 10 to 16", cost), "craton password makes one"
	}
	return "", ""
}

func checkGroup(s string) (string, string) {
	if fault, hint := checkSeen(s); fault != "" {
		return fault, hint
	}
	if !isWhere.MatchString(s) {
		return fmt.Sprintf("%s does not say where the group comes from", quote(s)),
			fmt.Sprintf("write WHERE:NAME, for instance %s:developers for a group of this file's users", LocalUsers)
	}
	return "", ""
}

func checkPlace(s string) (string, string) {
	switch {
	case len(s) > 63 || !isLabel.MatchString(s):
		return fmt.Sprintf("%s is not a DNS label", quote(s)), "use lower-case letters, digits and dashes, with a letter or digit at both ends"
	case s == LocalUsers:
		return fmt.Sprintf("%s is where this file's own users are", s), "choose another id"
	}
	return "", ""
}

func checkHTTPS(s string) (string, string) {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Hostname() == "" || strings.ContainsFunc(s, unprintable):
		return fmt.Sprintf("%s is not a URL", quote(s)), "write it like https://login.example.org"
	case u.Scheme != "https":
		return fmt.Sprintf("%s is not https", quote(s)), "passwords and tokens go there: write it like https://login.example.org"
	case u.Port() != "":
		return fmt.Sprintf("%s has a port", quote(s)), "the one way outwards that is open is to 443: leave the port out"
	case !isHTTPS.MatchString(s):
		return fmt.Sprintf("%s has more than a host and a path", quote(s)), "write it like https://login.example.org"
	}
	return "", ""
}

func checkLDAPHost(s string) (string, string) {
	if fault, hint := checkSeen(s); fault != "" {
		return fault, hint
	}
	if !isHost.MatchString(s) {
		return fmt.Sprintf("%s is not a host, or has another port than LDAP's", quote(s)),
			"write the host alone, or with :636 (or :389, where startTLS is true): the way outwards is open to these two"
	}
	return "", ""
}

func checkOrganization(s string) (string, string) {
	if !isOrg.MatchString(s) {
		return fmt.Sprintf("%s is not the name of an organisation", quote(s)), "write it as in its address, github.com/NAME"
	}
	return "", ""
}
