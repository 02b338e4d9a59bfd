package manifests

import (
	"path"
	"slices"
	"strings"
	"testing"

	"craton.dev/craton/contract"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/firstboot"
)

// TestFirstStart protects that each file of a master comes to it once, by its first start or
// beside it; that a founding master's etcd and API server wait for nobody and the others for
// them; and that a pod's own images are got before it.
func TestFirstStart(t *testing.T) {
	internal, seeded, outside := makePlan(t, 3, 1), selfHostedEtcd(t, 3, false), external(t)
	for name, c := range map[string]struct {
		p        *plan.Plan
		founding bool
		early    []string // before there is an API
	}{
		"founding":                 {internal, true, []string{"etcd", "kube-apiserver"}},
		"founding, etcd of itself": {seeded, true, []string{"etcd-seed", "kube-apiserver"}},
		"founding, etcd outside":   {outside, true, []string{"kube-apiserver"}},
		"joining":                  {internal, false, nil},
		"joining, etcd of itself":  {seeded, false, nil},
	} {
		how := Bring{Founding: c.founding}
		files, err := MasterFiles(c.p, c.p.Machines[0].Name, image, how)
		if err != nil {
			t.Fatal(err)
		}
		steps, rest := FirstStart(c.p, contract.Master, image, how, slices.Clone(files))
		got := slices.Clone(rest)
		var early, known []string
		for i, s := range steps {
			if i > 0 && s.After < steps[i-1].After {
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
				if s.After == firstboot.AtOnce {
					early = append(early, strings.TrimSuffix(path.Base(f.Path), ".yaml"))
				}
			}
		}
		slices.Sort(early)
		if !slices.Equal(early, c.early) {
			t.Errorf("%s: %v start at once, want %v", name, early, c.early)
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
			if c.founding && path.Dir(f.Path) == firstboot.ManifestDir {
				t.Errorf("%s: %s is in the kubelet's folder before anything is there", name, f.Path)
			}
		}
	}
	steps, _ := FirstStart(internal, contract.Worker, image, Bring{}, nil)
	if len(steps) != 1 || steps[0].After != firstboot.APIKnows || len(steps[0].Images) != 3 {
		t.Errorf("a worker's first start: %+v", steps)
	}
}
