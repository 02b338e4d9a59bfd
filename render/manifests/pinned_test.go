package manifests

import (
	"encoding/json"
	"regexp"
	"slices"
	"testing"

	"sigs.k8s.io/yaml"

	"craton.dev/craton/plan"
	"craton.dev/craton/render/firstboot"
)

// imageName finds the images that the test's pods name (see image), wherever a pod may do so.
var imageName = regexp.MustCompile(`example\.com/[a-z-]+:1`)

// TestPinned protects a master that comes back while no registry answers: nothing that its control
// plane runs with, and nothing else, is kept by the machine whatever it has to make room for.
func TestPinned(t *testing.T) {
	for name, p := range map[string]*plan.Plan{
		"one master": makePlan(t, 1, 1), "three": makePlan(t, 3, 1), "external": external(t), "self-hosted": selfHostedEtcd(t, 3, false),
	} {
		t.Run(name, func(t *testing.T) {
			var opt firstboot.Options
			if err := FirstBoot(&opt, p, &p.Machines[0], image, Bring{Founding: true}); err != nil {
				t.Fatal(err)
			}
			files, err := MasterFiles(p, p.Machines[0].Name, image, Bring{Founding: true})
			if err != nil {
				t.Fatal(err)
			}
			var text []byte
			for _, f := range files {
				text = append(text, f.Contents...)
			}
			for _, o := range objects(t, p) {
				// Names are answered by whatever pod of CoreDNS is left; masters know the API without.
				if !slices.Contains([]string{"DaemonSet", "Deployment", "EtcdCluster"}, o.GetKind()) || o.GetName() == "coredns" {
					continue
				}
				object, err := json.Marshal(o)
				if err != nil {
					t.Fatal(err)
				}
				if object, err = yaml.JSONToYAML(object); err != nil {
					t.Fatal(err)
				}
				text = append(text, object...)
			}
			needed := imageName.FindAllString(string(text), -1)
			slices.Sort(needed)
			needed = slices.Compact(needed)
			var kept []string
			for _, i := range opt.PinnedImages {
				kept = append(kept, i)
			}
			slices.Sort(kept)
			if !slices.Equal(kept, needed) {
				t.Errorf("the machine keeps %v, its control plane needs %v", kept, needed)
			}
		})
	}
}
