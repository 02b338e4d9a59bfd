package cluster

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"gopkg.in/yaml.v3"
)

// KubernetesVersions are the versions that this craton ships, the default first.
var KubernetesVersions = []string{"v1.37.2"}

// largest is the size in bytes above which a file is not looked at. The largest honest
// cluster file has a few kilobytes.
const largest = 256 << 10

// Load reads and parses a cluster file. Files that it names come out as absolute paths:
// relative ones are from the cluster file's folder. The error is Errors where the file's
// content is at fault, and otherwise one that errors.Is can compare with those of package fs.
func Load(path string) (*Cluster, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cluster file: %w; craton init writes one", err)
	}
	if err != nil {
		return nil, fmt.Errorf("cluster file: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, largest+1))
	if err != nil {
		return nil, fmt.Errorf("cluster file: %w", err)
	}
	c, err := Parse(path, data)
	if err != nil {
		return nil, err
	}
	return c, c.resolve(filepath.Dir(path))
}

// resolve makes the files that the cluster file names absolute, so that they are the same
// ones from wherever craton is started. dir is the cluster file's folder.
func (c *Cluster) resolve(dir string) error {
	files := c.SignIn.files()
	if c.ExternalEtcd != nil {
		files = append(files, &c.ExternalEtcd.CAFile, &c.ExternalEtcd.CertFile, &c.ExternalEtcd.KeyFile)
	}
	if c.IngressCertificate != nil {
		files = append(files, &c.IngressCertificate.CertFile, &c.IngressCertificate.KeyFile)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("cluster file: %w", err)
	}
	for _, f := range files {
		if *f != "" && !filepath.IsAbs(*f) {
			*f = filepath.Join(dir, *f)
		}
	}
	return nil
}

// Default is the cluster that a file with nothing but this name describes. The name is not
// checked.
func Default(name string) *Cluster {
	c := &Cluster{Name: name}
	setDefaults(c, fields())
	c.follow(func(string) bool { return false })
	return c
}

// Parse reads a cluster file, fills in the defaults and validates it. name is the file's
// name in errors. The error is always Errors: all faults of the file, in its order.
func Parse(name string, data []byte) (*Cluster, error) {
	r := &reader{file: name, cluster: Default(""), seen: map[string]*yaml.Node{}, bad: map[string]bool{}}
	if root := r.document(data); root != nil {
		r.mapping(root, "", fields())
		r.cluster.follow(func(field string) bool { return r.seen[field] != nil })
		r.relations()
	}
	if len(r.errors) > 0 {
		r.errors.sort()
		return nil, r.errors
	}
	return r.cluster, nil
}

// follow fills in the defaults that depend on other fields, where these are not given.
func (c *Cluster) follow(given func(field string) bool) {
	if !given("schedulableMasters") {
		c.SchedulableMasters = c.Workers == 0
	}
	if !given("ingress") {
		c.Ingress = "nodePort"
		if !c.LoadBalancer {
			c.Ingress = "hostPort"
		}
	}
}

func setDefaults(c *Cluster, all []field) {
	for _, f := range all {
		if f.kind == section {
			setDefaults(c, f.fields)
		}
		if f.standard == nil {
			continue
		}
		switch to := f.at(c).(type) {
		case *string:
			*to = f.standard.(string)
		case *int:
			*to = f.standard.(int)
		case *bool:
			*to = f.standard.(bool)
		}
	}
}
