package load

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"time"
)

// newHTTP is a client of the API. A fresh one makes a connection for each request; the
// other keeps one, as Kubernetes' own clients do, and like them gives it up where the other
// side is silent.
func newHTTP(t Target, fresh bool) *http.Client {
	transport := &http.Transport{
		TLSClientConfig: t.TLS.Clone(), DialContext: t.Dial, TLSHandshakeTimeout: attemptLimit,
		DisableKeepAlives: fresh, ForceAttemptHTTP2: !fresh, DisableCompression: true,
	}
	if !fresh {
		transport.HTTP2 = &http.HTTP2Config{SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second}
	}
	return &http.Client{Transport: transport}
}

// answer is what came of a request.
type answer struct {
	status int
	body   []byte
	// err is set where there was no answer. sent says that the request may have been
	// received all the same.
	err  error
	sent bool
}

// problem is the answer as an error; nil for one that says that it was done.
func (a answer) problem() error {
	switch {
	case a.err != nil:
		return a.err
	case a.status/100 == 2:
		return nil
	}
	var s struct {
		Message string `json:"message"`
	}
	_ = json.Unmarshal(a.body, &s)
	if s.Message == "" {
		s.Message = string(a.body[:min(len(a.body), 200)])
	}
	return fmt.Errorf("%d: %s", a.status, s.Message)
}

// request asks once; nothing here tries again by itself.
func request(ctx context.Context, client *http.Client, limit time.Duration, method, url, contentType string, body any) answer {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	a := answer{}
	// A request that got no connection was not sent.
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { a.sent = true }})
	var content io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return answer{err: err}
		}
		content = bytes.NewReader(b)
	}
	r, err := http.NewRequestWithContext(ctx, method, url, content)
	if err != nil {
		return answer{err: err}
	}
	r.Header.Set("Accept", "application/json")
	if body != nil {
		r.Header.Set("Content-Type", contentType)
	}
	response, err := client.Do(r)
	if err != nil {
		a.err = err
		return a
	}
	defer response.Body.Close()
	a.status = response.StatusCode
	if a.body, err = io.ReadAll(response.Body); err != nil {
		a.err = errors.Join(fmt.Errorf("%d, and then", a.status), err)
	}
	return a
}

const (
	asJSON  = "application/json"
	asPatch = "application/merge-patch+json"
)
