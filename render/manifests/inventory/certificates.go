package inventory

import (
	"encoding/json"
	"fmt"
	"time"
)

// Certificate is what may be known of a certificate of the cluster: not its key.
type Certificate struct {
	Name string `json:"name"`
	// Machine is where its key is; "" for one of the administrator's or an authority's.
	Machine   string    `json:"machine,omitempty"`
	Authority string    `json:"authority"`
	Usages    []string  `json:"usages,omitempty"`
	Begins    time.Time `json:"begins"`
	Ends      time.Time `json:"ends"`
}

// Certificates are all that `craton up` has issued.
type Certificates struct {
	Certificates []Certificate `json:"certificates"`
}

// ParseCertificates reads what json.Marshal makes of Certificates.
func ParseCertificates(data []byte) (*Certificates, error) {
	c := &Certificates{}
	if err := json.Unmarshal(data, c); err != nil {
		return nil, fmt.Errorf("the certificates in the cluster: %w: run craton up, which writes them anew", err)
	}
	return c, nil
}
