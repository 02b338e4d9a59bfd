package checkpoint

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// currentCertificate, in the kubelet's folder of certificates, is the one that it uses now,
// with its key. It is a link that the kubelet moves on when it has a new one.
const currentCertificate = "kubelet-client-current.pem"

// credentials are how the API is known, and who asks it.
type credentials struct {
	tls *tls.Config
	// stamps are the files that they are from, as they were.
	stamps map[string]fs.FileInfo
}

// readCredentials reads the certificate of the API's authority and the kubelet's own. The
// kubelet replaces its own long before it ends; see changed.
func readCredentials(ca, certificates string) (*credentials, error) {
	own := filepath.Join(certificates, currentCertificate)
	c := &credentials{stamps: map[string]fs.FileInfo{}}
	for _, file := range []string{ca, own} {
		c.stamps[file] = stampOf(file) // first: a file that changes in between is read again
	}
	authority, err := os.ReadFile(ca)
	if err != nil {
		return nil, fmt.Errorf("the API's authority: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(authority) {
		return nil, fmt.Errorf("the API's authority: %s has no certificate in PEM", ca)
	}
	both, err := os.ReadFile(own)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the kubelet has no certificate yet, so the API cannot be asked: %w", err)
	}
	if err != nil {
		return nil, fmt.Errorf("the kubelet's certificate: %w", err)
	}
	pair, err := tls.X509KeyPair(both, both)
	if err != nil {
		return nil, fmt.Errorf("the kubelet's certificate %s: %w", own, err)
	}
	c.tls = &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	return c, nil
}

// stampOf is a file as it is, nil where there is none. A link is what it leads to.
func stampOf(file string) fs.FileInfo {
	info, err := os.Stat(file)
	if err != nil {
		return nil
	}
	return info
}

// changed says whether one of the files is another one now.
func (c *credentials) changed() bool {
	for file, was := range c.stamps {
		now := stampOf(file)
		if now == nil || was == nil {
			if now != was {
				return true
			}
			continue
		}
		if !os.SameFile(now, was) || now.Size() != was.Size() || !now.ModTime().Equal(was.ModTime()) {
			return true
		}
	}
	return false
}

// client speaks HTTP/1.1: a request that is not answered in time then ends its connection,
// and the next one does not wait on it again. called is the name that the server has to
// show; "" where that is in the URL.
func (c *credentials) client(keepAlive bool, called string) *http.Client {
	protocols := &http.Protocols{}
	protocols.SetHTTP1(true)
	secure := c.tls.Clone()
	secure.ServerName = called
	return &http.Client{
		Transport: &http.Transport{
			TLSClientConfig: secure, Protocols: protocols,
			DisableCompression: true, DisableKeepAlives: !keepAlive,
			MaxIdleConns: 2, IdleConnTimeout: time.Minute,
			WriteBufferSize: 2 << 10, // requests are short
		},
		// A redirect would be somebody's who is no API server.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
