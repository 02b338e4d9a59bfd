package cluster

// SignIn says who may sign in with a name rather than a certificate, and what they may do. It
// counts only where Options.SignIn is set.
type SignIn struct {
	// FirstAdministrator makes `up` add a user whose password it shows once.
	FirstAdministrator bool `json:"firstAdministrator"`
	TokenMinutes       int  `json:"tokenMinutes"`
	SessionHours       int  `json:"sessionHours"`
	// Roles say what a group may do. A person in no group of them may do nothing.
	Roles  []Role   `json:"roles,omitempty"`
	Users  []User   `json:"users,omitempty"`
	OIDC   []OIDC   `json:"oidc,omitempty"`
	LDAP   []LDAP   `json:"ldap,omitempty"`
	GitHub []GitHub `json:"github,omitempty"`
	SAML   []SAML   `json:"saml,omitempty"`
}

// The roles that a group can have. RoleNone may sign in, and sees nothing.
const (
	RoleAdmin = "cluster-admin"
	RoleView  = "view"
	RoleNone  = "none"
)

// LocalUsers is where the groups of Users come from: it stands before the colon in Role.Group,
// where the id of one of the others stands for theirs.
const LocalUsers = "local"

// Role gives a group a role.
type Role struct {
	Group string `json:"group"` // WHERE:NAME
	Role  string `json:"role"`
}

// User is one person whom the cluster knows itself.
type User struct {
	Email string `json:"email"`
	// PasswordHash is bcrypt's.
	PasswordHash string   `json:"passwordHash"`
	Groups       []string `json:"groups,omitempty"`
}

// OIDC is another place to sign in at, which speaks OpenID Connect.
type OIDC struct {
	ID               string `json:"id"`
	Name             string `json:"name"`
	Issuer           string `json:"issuer"`
	ClientID         string `json:"clientID"`
	ClientSecretFile string `json:"clientSecretFile"`
	CAFile           string `json:"caFile,omitempty"`
	GroupsClaim      string `json:"groupsClaim"`
}

// LDAP is a directory of people and groups.
type LDAP struct {
	ID               string `json:"id"`
	Name             string `json:"name"`
	Host             string `json:"host"`
	StartTLS         bool   `json:"startTLS"`
	CAFile           string `json:"caFile,omitempty"`
	BindDN           string `json:"bindDN,omitempty"`
	BindPasswordFile string `json:"bindPasswordFile,omitempty"`
	UserBaseDN       string `json:"userBaseDN"`
	UserFilter       string `json:"userFilter,omitempty"`
	UserAttribute    string `json:"userAttribute"`
	IDAttribute      string `json:"idAttribute"`
	EmailAttribute   string `json:"emailAttribute"`
	GroupBaseDN      string `json:"groupBaseDN"`
	GroupFilter      string `json:"groupFilter,omitempty"`
	MemberAttribute  string `json:"memberAttribute"`
	MemberValue      string `json:"memberValue"`
	GroupAttribute   string `json:"groupAttribute"`
}

// GitHub lets the members of organisations in.
type GitHub struct {
	ID               string   `json:"id"`
	Name             string   `json:"name"`
	ClientID         string   `json:"clientID"`
	ClientSecretFile string   `json:"clientSecretFile"`
	Organizations    []string `json:"organizations"`
}

// SAML is an identity provider that speaks SAML 2.0.
type SAML struct {
	ID              string `json:"id"`
	Name            string `json:"name"`
	URL             string `json:"url"`
	CAFile          string `json:"caFile"`
	EntityIssuer    string `json:"entityIssuer,omitempty"`
	UserAttribute   string `json:"userAttribute"`
	EmailAttribute  string `json:"emailAttribute"`
	GroupsAttribute string `json:"groupsAttribute,omitempty"`
}

// Connectors are the ids of the places, beside the cluster itself, at which people can sign in.
func (s *SignIn) Connectors() []string {
	var ids []string
	for _, c := range s.OIDC {
		ids = append(ids, c.ID)
	}
	for _, c := range s.LDAP {
		ids = append(ids, c.ID)
	}
	for _, c := range s.GitHub {
		ids = append(ids, c.ID)
	}
	for _, c := range s.SAML {
		ids = append(ids, c.ID)
	}
	return ids
}

// files are the fields that name files, as pointers; some may be empty.
func (s *SignIn) files() []*string {
	var all []*string
	for i := range s.OIDC {
		all = append(all, &s.OIDC[i].ClientSecretFile, &s.OIDC[i].CAFile)
	}
	for i := range s.LDAP {
		all = append(all, &s.LDAP[i].CAFile, &s.LDAP[i].BindPasswordFile)
	}
	for i := range s.GitHub {
		all = append(all, &s.GitHub[i].ClientSecretFile)
	}
	for i := range s.SAML {
		all = append(all, &s.SAML[i].CAFile)
	}
	return all
}
