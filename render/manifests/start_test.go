package manifests

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"

	"craton.dev/craton/plan"
	"craton.dev/craton/render/firstboot"
)

// TestFirstStart protects that each file of a master comes to it once, by its first start or
// beside it, and no pod into the kubelet's folder before its images; that a
// member of etcd waits for nobody, and an API server for the member that it uses, if its
// machine has one; and
// that the others wait for an API and for nothing else: by them a machine joins that has a new
// disk and is the only master.
func TestFirstStart(t *testing.T) {
	internal, seeded, outside := makePlan(t, 3, 1), selfHostedEtcd(t, 3, false), external(t)
	for name, c := range map[string]struct {
		p    *plan.Plan
		how  Bring
		etcd string // the pod of the master's member
	}{
		"founding":                 {internal, Bring{Founding: true}, "etcd"},
		"founding, etcd of itself": {seeded, Bring{Founding: true}, "etcd-seed"},
		"founding, etcd outside":   {outside, Bring{Founding: true}, ""},
		"joining":                  {internal, Bring{Joining: true}, "etcd"},
		"joining, etcd of itself":  {seeded, Bring{Joining: true}, "etcd"},
		"joining, etcd outside":    {outside, Bring{Joining: true}, ""},
		"alone":                    {internal, Bring{}, "etcd"},
		"alone, etcd of itself":    {seeded, Bring{}, "etcd"},
		"alone, etcd outside":      {outside, Bring{}, ""},
	} {
		m, how := &c.p.Machines[0], c.how
		files, err := MasterFiles(c.p, m.Name, image, how)
		if err != nil {
			t.Fatal(err)
		}
		steps, rest, err := firstStart(c.p, m, image, how, slices.Clone(files))
		if err != nil {
			t.Fatal(err)
		}
		got := slices.Clone(rest)
		var known []string
		waits := map[string]string{} // of a pod, for what
		for i, s := range steps {
			if i > 0 && !s.AfterAPI && steps[i-1].AfterAPI {
				t.Errorf("%s: step %d is to come before what the one before it waits for", name, i)
			}
			known = append(known, s.Images...)
			for _, f := range s.Pods {
				got = append(got, f)
				for line := range strings.Lines(string(f.Contents)) {
					if _, of, ok := strings.Cut(line, "image: "); ok && !slices.Contains(known, strings.TrimSpace(of)) {
						t.Errorf("%s: %s is started before its image %s is got", name, f.Path, strings.TrimSpace(of))
					}
				}
				wait := ""
				if s.Listening.IsValid() {
					wait = s.Listening.String()
				}
				if s.Ready.IsValid() {
					wait = "vote at " + s.Ready.String()
				}
				if s.AfterAPI {
					wait = "API"
				}
				waits[strings.TrimSuffix(path.Base(f.Path), ".yaml")] = wait
			}
		}
		want := map[string]string{"kube-apiserver": "", "craton-operator": "API", "craton-checkpointer": "API"}
		if how.Founding {
			want["kube-controller-manager"], want["kube-scheduler"] = "API", "API"
		}
		if c.etcd != "" {
			want[c.etcd] = ""
			want["kube-apiserver"] = m.Address.String() + map[string]string{"etcd": ":2379", "etcd-seed": ":12379"}[c.etcd]
			if !how.Founding {
				want["kube-apiserver"] = fmt.Sprintf("vote at 127.0.0.1:%d", EtcdMetricsPort)
			}
		}
		if how.Joining { // its API server comes from those that are there, when it has joined
			delete(want, "kube-apiserver")
		}
		if !maps.Equal(waits, want) {
			t.Errorf("%s: pods wait for %v, want %v", name, waits, want)
		}
		sorted := func(files []firstboot.File) (paths []string) {
			for _, f := range files {
				paths = append(paths, f.Path)
			}
			slices.Sort(paths)
			return paths
		}
		if !slices.Equal(sorted(got), sorted(files)) {
			t.Errorf("%s: the master gets %v, want each of %v once", name, sorted(got), sorted(files))
		}
		for _, f := range rest {
			if path.Dir(f.Path) == firstboot.ManifestDir {
				t.Errorf("%s: %s is in the kubelet's folder before anything is there", name, f.Path)
			}
		}
	}
	worker := &internal.Machines[len(internal.Machines)-1]
	steps, _, err := firstStart(internal, worker, image, Bring{}, nil)
	if err != nil || len(steps) != 1 || !steps[0].AfterAPI || len(steps[0].Images) != 3 {
		t.Errorf("a worker's first start: %+v, %v", steps, err)
	}
}
