package bootstrap

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"craton.dev/craton/machines"
	"craton.dev/craton/payload"
	"craton.dev/craton/render/firstboot"
	"craton.dev/craton/render/manifests"
	"craton.dev/craton/render/manifests/inventory"
)

// TestCouldWork protects from setting a cluster back that was only switched off.
func TestCouldWork(t *testing.T) {
	for _, test := range []struct {
		name    string
		masters int
		states  string // a letter a master: running, off, gone
		want    string
	}{
		{"all run", 3, "rrr", "[]"},
		{"one off of three", 3, "rro", "[demo-master-3]"},
		{"two off of three", 3, "roo", "[demo-master-2 demo-master-3]"},
		{"all off", 3, "ooo", "[demo-master-1 demo-master-2 demo-master-3]"},
		{"two gone", 3, "rgg", "[]"},
		{"two gone, the last one off", 3, "ogg", "[]"},
		{"one gone, one off", 3, "rog", "[demo-master-2]"},
		{"the only one off", 1, "o", "[demo-master-1]"},
		{"the only one gone", 1, "g", "[]"},
		{"all gone", 3, "ggg", "[]"},
	} {
		c := sample(t, test.masters)
		states := []machines.State{{Name: "demo-worker-1"}}
		for i, m := range c.masters() {
			if test.states[i] != 'g' {
				states = append(states, machines.State{Name: m.Name, Running: test.states[i] == 'r'})
			}
		}
		if got := couldWork(c.masters(), states); fmt.Sprint(got) != test.want {
			t.Errorf("%s: %v, want %s", test.name, got, test.want)
		}
	}
}

// TestMayLeave protects the quorum: a master is replaced only where the others have one
// without it, and the refusal says which member is missing.
func TestMayLeave(t *testing.T) {
	for _, test := range []struct {
		members string // by number: + healthy, - not, l a healthy learner
		leaves  int
		want    string // "" where it may
	}{
		{"+++", 1, ""},
		{"-++", 1, ""},
		{"+-+", 1, "1 of 2 voters of etcd would be healthy, and their quorum is 2: start or repair demo-master-2 first"},
		{"--+", 1, "start or repair demo-master-2 first"},
		{"+--", 1, "0 of 2 voters"},
		{"++", 1, ""},
		{"+-", 1, "0 of 1 voters"},
		{"+", 1, "the only vote"},
		{"+l", 1, "the only vote"},
		{"++l", 3, ""},
		{"++", 3, ""}, // it is no member any more
		{"++++-", 1, ""},
		{"+++--", 1, "2 of 4 voters"},
		{"-++--", 1, "2 of 4 voters"},
		{"--+++", 1, ""},
	} {
		var members []etcdMember
		for i, c := range test.members {
			members = append(members, etcdMember{ID: fmt.Sprint(i), Name: fmt.Sprintf("demo-master-%d", i+1), Healthy: c != '-', Learner: c == 'l'})
		}
		err := mayLeave(members, fmt.Sprintf("demo-master-%d", test.leaves))
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s without %d: %v, want %q", test.members, test.leaves, err, test.want)
		}
	}
}

// TestCannotDoAlone protects from a file that takes more masters away than there can be,
// at that moment, without losing the quorum of those that stay.
func TestCannotDoAlone(t *testing.T) {
	for _, test := range []struct {
		members string // by number: + healthy, - not, l a healthy learner
		stay    int    // the first ones
		want    string
	}{
		{"+++", 1, ""},
		{"++-", 1, ""},
		{"-++", 1, "0 of 1 voters of etcd on the masters that stay are healthy (not demo-master-1), and their quorum is 1"},
		{"+--", 1, "1 of 3 voters of etcd are healthy (not demo-master-2 and demo-master-3), and their quorum is 2"},
		{"l++", 1, "no voter of etcd is on the masters that stay"},
		{"+++++", 3, ""},
		{"++-++", 3, ""},
		{"+--++", 3, "1 of 3 voters of etcd on the masters that stay are healthy (not demo-master-2 and demo-master-3)"},
		{"++---", 3, "2 of 5 voters of etcd are healthy"},
		{"+++--", 3, ""},
	} {
		var members []etcdMember
		var stay []string
		for i, c := range test.members {
			name := fmt.Sprintf("demo-master-%d", i+1)
			members = append(members, etcdMember{ID: fmt.Sprint(i), Name: name, Healthy: c != '-', Learner: c == 'l'})
			if i < test.stay {
				stay = append(stay, name)
			}
		}
		got := cannotDoAlone(members, stay)
		if (got == "") != (test.want == "") || !strings.Contains(got, test.want) {
			t.Errorf("%s, %d stay: %q, want %q", test.members, test.stay, got, test.want)
		}
	}
}

// TestMembers protects the reading of what etcdctl prints.
func TestMembers(t *testing.T) {
	list, err := parseMembers([]byte(`{"header":{"cluster_id":"8b","member_id":"4c","raft_term":2},"members":[
		{"ID":"4cb8dec4a1dbdc9e","name":"demo-master-1","peerURLs":["https://10.32.0.10:2380"],"clientURLs":["https://10.32.0.10:2379"]},
		{"ID":"ff","peerURLs":["https://10.32.0.11:2380"],"isLearner":true}]}`))
	want := []etcdMember{{ID: "4cb8dec4a1dbdc9e", Name: "demo-master-1", URL: "https://10.32.0.10:2379"}, {ID: "ff", Learner: true}}
	if err != nil || !slices.Equal(list, want) {
		t.Errorf("%+v %v, want %+v", list, err, want)
	}
	well, err := parseHealth([]byte(`[{"endpoint":"https://10.32.0.10:2379","health":true,"took":"9ms"},{"endpoint":"https://10.32.0.11:2379","health":false,"took":"2s","error":"context deadline exceeded"}]`))
	if err != nil || !well["https://10.32.0.10:2379"] || well["https://10.32.0.11:2379"] {
		t.Errorf("%v %v", well, err)
	}
	if _, err := parseMembers([]byte("hello")); err == nil {
		t.Error("a text is a list of members")
	}
	if _, err := parseHealth(nil); err == nil {
		t.Error("nothing is a list of members")
	}
}

// TestNoVote protects the end of a recovery: reports of the old cluster's members, which are in
// the data that came back, do not count.
func TestNoVote(t *testing.T) {
	c := sample(t, 3)
	now := time.Now()
	status := func(at time.Time, change func(i int, m *inventory.EtcdMember)) *inventory.EtcdStatus {
		s := &inventory.EtcdStatus{Time: at, Action: "none: waiting"}
		for i, m := range c.masters() {
			e := inventory.EtcdMember{Name: m.Name, Healthy: true}
			if change != nil {
				change(i, &e)
			}
			s.Members = append(s.Members, e)
		}
		return s
	}
	for _, test := range []struct {
		name   string
		status *inventory.EtcdStatus
		want   string
	}{
		{"all", status(now, nil), ""},
		{"before", status(now.Add(-time.Minute), nil), "not reported"},
		{"a learner", status(now, func(i int, m *inventory.EtcdMember) { m.Learner = i == 1 }), "demo-master-2 has no vote in etcd yet: none: waiting"},
		{"not healthy", status(now, func(i int, m *inventory.EtcdMember) { m.Healthy = i != 2 }), "demo-master-3"},
		{"never started", status(now, func(i int, m *inventory.EtcdMember) {
			if i == 0 {
				m.Name = ""
			}
		}), "demo-master-1"},
	} {
		got := noVote(test.status, c.masters(), now.Add(-time.Second))
		if (got == "") != (test.want == "") || !strings.Contains(got, test.want) {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

// TestEtcdDir protects what a recovery does on a machine from another folder in the manifest.
func TestEtcdDir(t *testing.T) {
	c := sample(t, 3)
	files, err := manifests.MasterFiles(c.Plan, c.masters()[0].Name, payload.Image, manifests.Bring{})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(files, func(f firstboot.File) bool {
		return bytes.Contains(f.Contents, []byte("--data-dir="+etcdDir+"/data\n"))
	}) {
		t.Errorf("etcd's data are not in %s/data", etcdDir)
	}
}
