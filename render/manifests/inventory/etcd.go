package inventory

import (
	"encoding/json"
	"fmt"
	"time"
)

// EtcdStatus is what the operator says of the members of etcd. It writes it into the
// cluster, and `craton up` and `craton status` read it there.
type EtcdStatus struct {
	Time time.Time `json:"time"`
	// Cluster and the ids of members are hexadecimal, as etcd's own tools print them.
	Cluster string       `json:"cluster,omitempty"`
	Leader  string       `json:"leader,omitempty"`
	Members []EtcdMember `json:"members"`
	// Action is the last decision: "none: the members are those of the plan".
	Action string `json:"action,omitempty"`
	// Refusal is why something that should be done is not, or "".
	Refusal string `json:"refusal,omitempty"`
	// Alarms are etcd's own: each stops writes until a person has acted.
	Alarms []string `json:"alarms,omitempty"`
	// Problem is why the cluster could not be asked, or "".
	Problem string `json:"problem,omitempty"`
}

// EtcdMember is one member.
type EtcdMember struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	PeerURL   string `json:"peerURL,omitempty"`
	ClientURL string `json:"clientURL,omitempty"`
	Learner   bool   `json:"learner,omitempty"`
	Healthy   bool   `json:"healthy"`
	Problem   string `json:"problem,omitempty"`
	// Bytes is the size of the data on the disk.
	Bytes int64 `json:"bytes,omitempty"`
}

// ParseEtcd reads what the operator writes.
func ParseEtcd(data []byte) (*EtcdStatus, error) {
	s := &EtcdStatus{}
	if err := json.Unmarshal(data, s); err != nil {
		return nil, fmt.Errorf("the operator's status of etcd: %w", err)
	}
	return s, nil
}
