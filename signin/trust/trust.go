// Package trust finds out whether an API server takes the tokens of a provider by now. It reads
// its AuthenticationConfiguration anew by itself, and asks the provider by itself, both on its own
// time; a person whom it refuses meanwhile has no way to tell why.
//
// It needs nobody's token: it shows the API server one that nobody has signed. To refuse that, the
// API server has to ask the provider for its keys, and its metrics say that it has got them.
package trust

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"k8s.io/client-go/rest"
)

// Metrics of the API server, by Kubernetes 1.37: the configuration that holds, and the keys that
// it has of a provider.
const (
	configuration = "apiserver_authentication_config_controller_last_config_info{"
	keys          = "apiserver_authentication_jwt_authenticator_jwks_fetch_last_key_set_info{"
)

// Lacks is what one API server does not know yet, as a phrase that follows its name; "" where it
// goes by this AuthenticationConfiguration and has the issuer's keys. config is of somebody who may
// read metrics. Without an issuer there is nobody whose keys it should have.
func Lacks(ctx context.Context, config *rest.Config, authentication []byte, issuer string) (string, error) {
	told, known, err := metrics(ctx, config, authentication, issuer)
	switch {
	case err != nil:
		return "", err
	case !told:
		return "has not read yet whom it is to trust", nil
	case issuer == "" || known:
		return "", nil
	}
	if err := show(ctx, config, forged(issuer, time.Now())); err != nil {
		return "", err
	}
	if _, known, err = metrics(ctx, config, authentication, issuer); err != nil || known {
		return "", err
	}
	return "has no keys of " + issuer + " yet", nil
}

// metrics tells whether the configuration is the one that holds, and the issuer's keys are known.
func metrics(ctx context.Context, config *rest.Config, authentication []byte, issuer string) (told, known bool, err error) {
	err = ask(ctx, config, "/metrics", func(answer *http.Response) error {
		if answer.StatusCode != http.StatusOK {
			return fmt.Errorf("its metrics: %s", answer.Status)
		}
		holds, of := label("hash", authentication), label("jwt_issuer_hash", []byte(issuer))
		lines := bufio.NewScanner(answer.Body)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			told = told || strings.HasPrefix(lines.Text(), configuration) && strings.Contains(lines.Text(), holds)
			known = known || strings.HasPrefix(lines.Text(), keys) && strings.Contains(lines.Text(), of)
		}
		return lines.Err()
	})
	return told, known, err
}

// label is a label of a metric, with the value that the API server gives it for these bytes.
func label(name string, of []byte) string {
	return fmt.Sprintf(`%s="sha256:%x"`, name, sha256.Sum256(of))
}

// show shows the API server a token; what it says to that is in its metrics.
func show(ctx context.Context, config *rest.Config, token string) error {
	nobody := rest.AnonymousClientConfig(config)
	nobody.BearerToken = token
	return ask(ctx, nobody, "/version", func(answer *http.Response) error {
		if answer.StatusCode != http.StatusUnauthorized {
			return fmt.Errorf("it answers a token that nobody has signed with %s, expected %d", answer.Status, http.StatusUnauthorized)
		}
		return nil
	})
}

// forged is a token that looks like one of the issuer's, up to its signature.
func forged(issuer string, now time.Time) string {
	encode := base64.RawURLEncoding.EncodeToString
	claims := fmt.Sprintf(`{"iss":%q,"aud":"nobody","sub":"nobody","iat":%d,"exp":%d}`, issuer, now.Unix(), now.Add(time.Hour).Unix())
	return strings.Join([]string{encode([]byte(`{"alg":"RS256","kid":"nobody"}`)), encode([]byte(claims)), encode([]byte("nobody"))}, ".")
}

// ask asks on a connection of its own, so that an API server that is being replaced is not asked
// for good.
func ask(ctx context.Context, config *rest.Config, path string, read func(*http.Response) error) error {
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(config.Host, "/")+path, nil)
	if err != nil {
		return err
	}
	request.Header.Set("Accept", "text/plain")
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer func() {
		io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
	}()
	return read(answer)
}
