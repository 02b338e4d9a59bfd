package operation

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"

	"craton.dev/craton/pki"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/part"
)

// Ask asks one check of a part, by a connection that dial makes for it. The error says what is not as
// it should be.
func Ask(ctx context.Context, p *plan.Plan, secrets *pki.Secrets, check part.Check, dial func(ctx context.Context, network, address string) (net.Conn, error)) error {
	authorities := x509.NewCertPool()
	authorities.AppendCertsFromPEM(secrets.Authorities[pki.KubernetesCA].Cert)
	if p.File.IngressCertificate != nil {
		// Whom its authority is trusted by is the user's business; that it is the one of the file is ours.
		authorities.AppendCertsFromPEM(secrets.Pairs[plan.IdentityIngress].Cert)
	}
	client := &http.Client{
		Transport: &http.Transport{
			DisableKeepAlives: true, DialContext: dial,
			TLSClientConfig: &tls.Config{RootCAs: authorities, MinVersion: tls.VersionTLS12},
		},
		// Where it leads is part of the answer.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, check.URL, nil)
	if err != nil {
		return err
	}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != check.Status {
		return fmt.Errorf("%s answers with status %d, expected %d", check.URL, answer.StatusCode, check.Status)
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, 4<<20))
	if err != nil {
		return fmt.Errorf("%s: %w", check.URL, err)
	}
	if !bytes.Contains(body, []byte(check.Contains)) {
		return fmt.Errorf("%s answers without %q", check.URL, check.Contains)
	}
	return nil
}
