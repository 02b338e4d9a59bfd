package bootstrap

import (
	"reflect"
	"strings"
	"testing"

	"craton.dev/craton/cluster"
)

// A change that Up cannot make must be refused before anything is touched, all such
// changes at once and by name; a change that it can make must not be.
func TestChangeable(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*cluster.Cluster)
		refuse []string
	}{
		{"nothing", func(c *cluster.Cluster) {}, nil},
		{"an empty list for none", func(c *cluster.Cluster) { c.Registries = []string{} }, nil},
		{"masters", func(c *cluster.Cluster) { c.Masters = 3 }, nil},
		{"workers", func(c *cluster.Cluster) { c.Workers = 3 }, nil},
		{"a MAY port", func(c *cluster.Cluster) { c.Options.NodePortRange = true }, nil},
		{"profile", func(c *cluster.Cluster) { c.Profile = "minimal" }, nil},
		{"the read-only port", func(c *cluster.Cluster) { c.Options.ReadOnlyPort = true }, nil},
		{"two at once", func(c *cluster.Cluster) { c.APIPort, c.Subdomain = 6443, "other.test" }, []string{"apiPort", "subdomain"}},
		{"external etcd", func(c *cluster.Cluster) { c.ExternalEtcd = &cluster.ExternalEtcd{} }, []string{"externalEtcd"}},
	} {
		before, after := cluster.Default("demo"), cluster.Default("demo")
		c.change(after)
		err := changeable(before, after)
		if (err != nil) != (len(c.refuse) > 0) {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		for _, field := range c.refuse {
			if !strings.Contains(err.Error(), field+":") {
				t.Errorf("%s: %q does not name %s", c.name, err, field)
			}
		}
	}
}

// A name in the list of movable fields that the cluster file does not have would be a
// typing error that makes a field immovable.
func TestMovingNamesFields(t *testing.T) {
	fields := map[string]bool{}
	var walk func(prefix string, of reflect.Type)
	walk = func(prefix string, of reflect.Type) {
		for i := range of.NumField() {
			name, _, _ := strings.Cut(of.Field(i).Tag.Get("json"), ",")
			fields[prefix+name] = true
			if of.Field(i).Type.Kind() == reflect.Struct {
				walk(prefix+name+".", of.Field(i).Type)
			}
		}
	}
	walk("", reflect.TypeFor[cluster.Cluster]())
	for name := range moving {
		if !fields[name] {
			t.Errorf("the cluster file has no field %s", name)
		}
	}
}
