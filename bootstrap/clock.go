package bootstrap

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// validity is the time in which one of the cluster's authorities vouches for anything.
type validity struct {
	name         string
	begins, ends time.Time
}

// clockTrouble refuses a clock with which no certificate of the cluster would be valid. Of
// a new cluster only one thing is known: no clock that is right is before the day on which
// this program was made.
func clockTrouble(now, built time.Time, authorities []validity) error {
	says := "this host's clock says " + now.UTC().Format(time.RFC3339)
	if now.Before(built.AddDate(0, 0, -1)) {
		return fmt.Errorf("%s, but this craton was made on %s: set the clock right (`date -s`, or an NTP client), then run `craton up` again",
			says, built.UTC().Format(time.DateOnly))
	}
	for _, a := range authorities {
		switch {
		case now.Before(a.begins):
			return fmt.Errorf("%s, but the cluster's authority %s is not valid before %s: set the clock right, then run `craton up` again; if it is right now and was wrong when the cluster was made, `craton down` and `craton up` make it anew",
				says, a.name, a.begins.UTC().Format(time.RFC3339))
		case now.After(a.ends):
			return fmt.Errorf("%s, but the cluster's authority %s was valid until %s: set the clock right, then run `craton up` again; if it is right, `craton down` and `craton up` make the cluster anew",
				says, a.name, a.ends.UTC().Format(time.RFC3339))
		}
	}
	return nil
}

// authorities reads when those in a folder of secrets are valid. A file that cannot be
// understood is left to package pki, which says so.
func authorities(dir string) []validity { return certificates(dir, "authorities") }

// certificates are those in one of the folders of a folder of secrets.
func certificates(dir, folder string) []validity {
	files, _ := filepath.Glob(filepath.Join(dir, folder, "*.pem"))
	var found []validity
	for _, f := range files {
		found = append(found, certificatesIn(f, strings.TrimSuffix(filepath.Base(f), ".pem"))...)
	}
	return found
}

// certificatesIn are those of a file, under a name; none where it cannot be read.
func certificatesIn(file, name string) (found []validity) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		cert, err := x509.ParseCertificate(block.Bytes)
		if block.Type != "CERTIFICATE" || err != nil {
			continue
		}
		found = append(found, validity{name, cert.NotBefore, cert.NotAfter})
	}
	return found
}
