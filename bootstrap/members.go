package bootstrap

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"craton.dev/craton/payload"
	"craton.dev/craton/plan"
)

// etcdMember is one of etcd's, as a master sees it.
type etcdMember struct {
	ID      string `json:"ID"` // hexadecimal
	Name    string `json:"name"`
	Learner bool   `json:"isLearner"`
	Healthy bool   `json:"-"`
	URL     string `json:"-"`
}

// members asks the first running master but one for etcd's members, and each of them for its
// health. The error says why nobody knows.
func (c *Cluster) members(ctx context.Context, but string) ([]etcdMember, plan.Machine, error) {
	running, err := c.runningMasters(ctx)
	if err != nil {
		return nil, plan.Machine{}, err
	}
	var errs []string
	for _, m := range running {
		if m.Name == but {
			continue
		}
		found, err := c.membersBy(ctx, m)
		if err == nil {
			return found, m, nil
		}
		if ctx.Err() != nil {
			return nil, m, ctx.Err()
		}
		errs = append(errs, m.Name+": "+err.Error())
	}
	return nil, plan.Machine{}, fmt.Errorf("no other master says who etcd's members are: %s", cmp.Or(strings.Join(errs, "; "), "none runs"))
}

func (c *Cluster) membersBy(ctx context.Context, m plan.Machine) ([]etcdMember, error) {
	out, err := c.etcdctl(ctx, m, "member", "list", "--write-out=json", "--hex")
	if err != nil {
		return nil, err
	}
	list, err := parseMembers(out)
	if err != nil {
		return nil, err
	}
	// It fails where any of them is not well, but prints them all.
	out, _ = c.etcdctl(ctx, m, "endpoint", "health", "--cluster", "--write-out=json")
	well, err := parseHealth(out)
	if err != nil {
		return nil, err
	}
	for i := range list {
		list[i].Healthy = well[list[i].URL]
	}
	return list, nil
}

func parseMembers(out []byte) ([]etcdMember, error) {
	var list struct {
		Members []struct {
			etcdMember
			ClientURLs []string `json:"clientURLs"`
		} `json:"members"`
	}
	if err := json.Unmarshal(out, &list); err != nil {
		return nil, fmt.Errorf("the list of etcd's members: %w", err)
	}
	var members []etcdMember
	for _, m := range list.Members {
		if len(m.ClientURLs) > 0 {
			m.etcdMember.URL = m.ClientURLs[0]
		}
		members = append(members, m.etcdMember)
	}
	return members, nil
}

func parseHealth(out []byte) (map[string]bool, error) {
	var list []struct {
		Endpoint string `json:"endpoint"`
		Health   bool   `json:"health"`
	}
	if err := json.Unmarshal(out, &list); err != nil {
		return nil, fmt.Errorf("the health of etcd's members: %w", err)
	}
	well := map[string]bool{}
	for _, e := range list {
		well[e.Endpoint] = e.Health
	}
	return well, nil
}

// etcdctl runs etcd's own tool on a master.
func (c *Cluster) etcdctl(ctx context.Context, m plan.Machine, args ...string) ([]byte, error) {
	url, err := etcdURL(m, clauseEtcdClient)
	if err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	var out bytes.Buffer
	argv := append([]string{"/usr/local/bin/etcdctl", "--endpoints=" + url, "--dial-timeout=2s", "--command-timeout=5s"}, etcdClient("--cacert", "--cert", "--key")...)
	err = c.runOn(limited, m, payload.Image("etcd"), append(argv, args...), &out, nil)
	return out.Bytes(), said(err)
}

// mayLeave refuses to part with a machine without which the others have no quorum: it names
// the member that has to be well before.
func mayLeave(members []etcdMember, name string) error {
	var voters, well int
	var down []string
	is := false
	for _, m := range members {
		if m.Name == name {
			is = true
			continue
		}
		switch {
		case m.Learner:
			continue
		case m.Healthy:
			well++
		default:
			down = append(down, cmp.Or(m.Name, m.ID))
		}
		voters++
	}
	quorum := voters/2 + 1
	if !is || well >= quorum {
		return nil
	}
	if len(down) == 0 {
		return misuse("%s has the only vote in etcd, and all of the cluster's data: no other master has caught up; `craton status` says what it waits for", name)
	}
	return misuse("without the member of %s, %d of %d voters of etcd would be healthy, and their quorum is %d: start or repair %s first", name, well, voters, quorum, strings.Join(down, " and "))
}
