package signin_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"encoding/xml"
	"fmt"
	"html"
	"math/big"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"craton.dev/craton/cluster"
	"craton.dev/craton/pki"
)

// company is a place that says by SAML who somebody is.
type company struct {
	key  *rsa.PrivateKey
	cert []byte
}

func newCompany(t *testing.T) company {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "company"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return company{key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

// statement is what it says, to whom and about which question.
type statement struct {
	question, to, audience string
	until                  time.Time
	groups                 []string
}

func (s statement) text() string {
	var groups strings.Builder
	for _, g := range s.groups {
		fmt.Fprintf(&groups, "<saml:AttributeValue>%s</saml:AttributeValue>", g)
	}
	until, now := s.until.UTC().Format(time.RFC3339), time.Now().UTC().Format(time.RFC3339)
	// As exclusive canonicalization writes it, so that these bytes are what is signed.
	return fmt.Sprintf(`<samlp:Response xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" Destination="%[1]s" ID="r" InResponseTo="%[2]s" IssueInstant="%[5]s" Version="2.0">`+
		`<samlp:Status><samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:Success"></samlp:StatusCode></samlp:Status>`+
		`<saml:Assertion xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="a" IssueInstant="%[5]s" Version="2.0"><saml:Issuer>company</saml:Issuer>`+
		`<saml:Subject><saml:NameID>17</saml:NameID><saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer">`+
		`<saml:SubjectConfirmationData InResponseTo="%[2]s" NotOnOrAfter="%[4]s" Recipient="%[1]s"></saml:SubjectConfirmationData></saml:SubjectConfirmation></saml:Subject>`+
		`<saml:Conditions NotOnOrAfter="%[4]s"><saml:AudienceRestriction><saml:Audience>%[3]s</saml:Audience></saml:AudienceRestriction></saml:Conditions>`+
		`<saml:AttributeStatement><saml:Attribute Name="user"><saml:AttributeValue>carla</saml:AttributeValue></saml:Attribute>`+
		`<saml:Attribute Name="mail"><saml:AttributeValue>carla@example.org</saml:AttributeValue></saml:Attribute>`+
		`<saml:Attribute Name="groups">%[6]s</saml:Attribute></saml:AttributeStatement></saml:Assertion></samlp:Response>`,
		s.to, s.question, s.audience, until, now, &groups)
}

// sign puts the company's signature into a statement.
func (c company) sign(t *testing.T, text string) string {
	t.Helper()
	sum := sha256.Sum256([]byte(text))
	const exclusive = "http://www.w3.org/2001/10/xml-exc-c14n#"
	info := fmt.Sprintf(`<ds:SignedInfo xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:CanonicalizationMethod Algorithm="%[1]s"></ds:CanonicalizationMethod>`+
		`<ds:SignatureMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"></ds:SignatureMethod><ds:Reference URI="#r"><ds:Transforms>`+
		`<ds:Transform Algorithm="http://www.w3.org/2000/09/xmldsig#enveloped-signature"></ds:Transform><ds:Transform Algorithm="%[1]s"></ds:Transform></ds:Transforms>`+
		`<ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"></ds:DigestMethod><ds:DigestValue>%[2]s</ds:DigestValue></ds:Reference></ds:SignedInfo>`,
		exclusive, base64.StdEncoding.EncodeToString(sum[:]))
	hash := sha256.Sum256([]byte(info))
	signature, err := rsa.SignPKCS1v15(rand.Reader, c.key, crypto.SHA256, hash[:])
	if err != nil {
		t.Fatal(err)
	}
	root := strings.Index(text, ">") + 1
	return text[:root] + `<ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#">` + info + "<ds:SignatureValue>" +
		base64.StdEncoding.EncodeToString(signature) + "</ds:SignatureValue></ds:Signature>" + text[root:]
}

var field = regexp.MustCompile(`<input[^>]* name="(SAMLRequest|RelayState)" value="([^"]*)"`)

// Somebody whom a company vouches for by SAML signs in with its groups, and without a way to renew, as
// docs/sign-in.md says. What it did not say, or said to others, of another question or till before, is
// refused, and so is what it said a second time.
func TestSAML(t *testing.T) {
	c, stranger := newCompany(t), newCompany(t)
	l := newLabWith(t, func(l *lab, in *cluster.SignIn, s *pki.SignIn) {
		cert := l.write(t, "company.crt", c.cert)
		s.Files = map[string][]byte{cert: c.cert}
		in.SAML = []cluster.SAML{{ID: "company", Name: "The Company", URL: "https://company.example.org/saml", CAFile: cert,
			UserAttribute: "user", EmailAttribute: "mail", GroupsAttribute: "groups"}}
		in.Users = nil // then nothing else is there to choose
	}, nil)
	back := l.place.Issuer + "/callback"
	// visit has somebody come back from the company with what answer makes of the question.
	visit := func(client *http.Client, address string, says func(statement) string) (got answer, again func() (answer, error), err error) {
		page, err := read(client.Get(address))
		if err != nil {
			return page, nil, err
		}
		fields := map[string]string{}
		for _, f := range field.FindAllStringSubmatch(page.body, -1) {
			fields[f[1]] = html.UnescapeString(f[2])
		}
		question, err := base64.StdEncoding.DecodeString(fields["SAMLRequest"])
		if err != nil || !strings.Contains(page.body, "https://company.example.org/saml") {
			return page, nil, fmt.Errorf("no way to the company: %w", err)
		}
		var asked struct {
			ID string `xml:"ID,attr"`
		}
		if err := xml.Unmarshal(question, &asked); err != nil {
			return page, nil, err
		}
		text := says(statement{question: asked.ID, to: back, audience: back, until: time.Now().Add(time.Minute), groups: []string{"ops", "system:masters"}})
		again = func() (answer, error) {
			return read(client.PostForm(back, url.Values{"RelayState": {fields["RelayState"]}, "SAMLResponse": {base64.StdEncoding.EncodeToString([]byte(text))}}))
		}
		got, err = again()
		return got, again, err
	}
	signed := func(s statement) string { return c.sign(t, s.text()) }

	seen, twice := make(chan answer, 1), make(chan answer, 1)
	tokens, err := l.place.Browser(limited(t, time.Minute), func(address string) error {
		go func() {
			got, again, err := visit(l.client(), address, signed)
			if err != nil {
				got.body += err.Error()
			}
			seen <- got
			if again != nil {
				second, _ := again()
				twice <- second
			}
		}()
		return nil
	})
	if err != nil {
		t.Fatalf("%v: %+v", err, <-seen)
	}
	from, _ := claims(t, tokens.ID)["federated_claims"].(map[string]any)
	if tokens.Name != "carla@example.org" || !slices.Equal(tokens.Groups, []string{"ops", "system:masters"}) || from["connector_id"] != "company" || from["user_id"] != "17" {
		t.Errorf("%+v %v", tokens, from)
	}
	if tokens.Refresh != "" {
		t.Error("there is a way to renew, but nobody could ask the company again")
	}
	if got := <-twice; got.status < 400 {
		t.Errorf("a second time: %+v", got)
	}

	q := url.Values{"client_id": {"craton"}, "response_type": {"code"}, "redirect_uri": {"http://127.0.0.1:1/callback"}, "state": {"s"}, "scope": {"openid groups"}}
	for name, says := range map[string]func(statement) string{
		"unsigned":                 func(s statement) string { return s.text() },
		"signed by somebody else":  func(s statement) string { return stranger.sign(t, s.text()) },
		"changed after it":         func(s statement) string { return strings.Replace(signed(s), "carla@", "root@", 1) },
		"a group added":            func(s statement) string { return strings.Replace(signed(s), ">ops<", ">admins<", 1) },
		"about another question":   func(s statement) string { s.question = "other"; return signed(s) },
		"to another place":         func(s statement) string { s.to = "https://other.example.org/callback"; return signed(s) },
		"for another audience":     func(s statement) string { s.audience = "https://other.example.org"; return signed(s) },
		"till an hour ago":         func(s statement) string { s.until = time.Now().Add(-time.Hour); return signed(s) },
		"no statement":             func(statement) string { return "" },
		"another one put in front": func(s statement) string { return withinAnother(s.text(), signed(s)) },
	} {
		got, _, err := visit(l.client(), l.place.Issuer+"/auth?"+q.Encode(), says)
		// Who is let in is sent on to the redirect's address, where nobody listens.
		if err != nil || got.status < 400 {
			t.Errorf("%s: %v %+v", name, err, got)
		}
	}
}

// withinAnother is an answer that nobody has signed, with a signed one inside of it.
func withinAnother(unsigned, signed string) string {
	unsigned = strings.ReplaceAll(strings.Replace(unsigned, `ID="r"`, `ID="x"`, 1), "carla@", "root@")
	return strings.Replace(unsigned, "</samlp:Response>", signed+"</samlp:Response>", 1)
}
