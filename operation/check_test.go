package operation

import (
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"craton.dev/craton/cluster"
	"craton.dev/craton/pki"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/part"
)

// TestAsk protects that a part is believed only where it answers as it should, with a certificate of the
// cluster's authority or, behind an ingress with one of the user's, of that one.
func TestAsk(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/away" {
			http.Redirect(w, r, "/", http.StatusFound)
			return
		}
		io.WriteString(w, "all is well")
	}))
	defer server.Close()
	its := pki.Pair{Cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})}
	own := &cluster.IngressCertificate{}
	for name, test := range map[string]struct {
		secrets     pki.Secrets
		certificate *cluster.IngressCertificate
		path        string
		status      int
		contains    string
		want        string // of the error
	}{
		"the cluster's":      {secrets: pki.Secrets{Authorities: map[string]pki.Pair{pki.KubernetesCA: its}}, contains: "well"},
		"the user's":         {secrets: pki.Secrets{Pairs: map[string]pki.Pair{plan.IdentityIngress: its}}, certificate: own},
		"nobody's":           {secrets: pki.Secrets{Pairs: map[string]pki.Pair{plan.IdentityIngress: its}}, want: "certificate"},
		"another text":       {secrets: pki.Secrets{Authorities: map[string]pki.Pair{pki.KubernetesCA: its}}, contains: "ill", want: `without "ill"`},
		"it leads elsewhere": {secrets: pki.Secrets{Authorities: map[string]pki.Pair{pki.KubernetesCA: its}}, path: "/away", want: "status 302, expected 200"},
		"that is meant":      {secrets: pki.Secrets{Authorities: map[string]pki.Pair{pki.KubernetesCA: its}}, path: "/away", status: http.StatusFound},
	} {
		check := part.Check{URL: server.URL + test.path, Status: max(test.status, http.StatusOK), Contains: test.contains}
		p := &plan.Plan{File: &cluster.Cluster{IngressCertificate: test.certificate}}
		err := Ask(t.Context(), p, &test.secrets, check, (&net.Dialer{}).DialContext)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want %q", name, err, test.want)
		}
	}
}
