package payload

import "craton.dev/craton/payload/image"

// Suite names what upstream's end-to-end tests need: the program itself, and the images that
// its [Conformance] tests run. No cluster has them; `make conformance` builds them.
func Suite() []string {
	var names []string
	for _, c := range suite() {
		names = append(names, c.Name)
	}
	return names
}

// suite are these components. An image has the name that the suite of this version asks for,
// and what upstream's has under that name, as far as the tests use it: what upstream takes
// from Alpine or Docker Hub comes from Debian's packages here.
func suite() []Component {
	test := func(c Component) Component {
		c.Version, c.Module, c.Source, c.OnDemand = kubernetes, "k8s.io/kubernetes", "conformance", true
		if c.License == "" {
			c.License = "Apache-2.0"
		}
		c.LDFlags = kubernetesLDFlags
		return c
	}
	// debian marks what has Debian's packages: their licences are in the image.
	debian := func(c Component) Component {
		c.License = "several: usr/share/doc/*/copyright in it"
		return test(c)
	}
	const images = "registry.k8s.io/e2e-test-images/"
	agnhost := image.Run{Entrypoint: []string{"/agnhost"}, Cmd: []string{"pause"}}
	page := image.Run{Entrypoint: []string{"/agnhost"}, Cmd: []string{"test-webserver"}}
	shell := image.Run{Cmd: []string{"sh"}}
	return []Component{
		test(Component{Name: "e2e", Host: true,
			Binaries: []Binary{{Name: "e2e.test", Package: "k8s.io/kubernetes/test/e2e", Test: true}}}),
		{
			// It runs several tests of one program at once.
			Name: "ginkgo", Version: "v2.32.0", Module: "github.com/onsi/ginkgo/v2", License: "MIT",
			Source: "ginkgo", Host: true, OnDemand: true,
			Binaries: []Binary{{Name: "ginkgo", Package: "github.com/onsi/ginkgo/v2/ginkgo"}},
		},
		debian(Component{Name: "e2e-agnhost", Image: images + "agnhost:2.66.1", Names: []string{images + "agnhost:2.55"},
			Base: []string{"base-tools"}, With: []string{"agnhost", "coredns"}, Run: agnhost}),
		debian(Component{Name: "e2e-kitten", Image: images + "kitten:1.8",
			Base: []string{"base-tools", "base-kitten"}, With: []string{"agnhost", "coredns"}, Run: page}),
		debian(Component{Name: "e2e-nautilus", Image: images + "nautilus:1.8",
			Base: []string{"base-tools", "base-nautilus"}, With: []string{"agnhost", "coredns"}, Run: page}),
		debian(Component{Name: "e2e-dns", Image: images + "glibc-dns-testing:2.1.1", Base: []string{"base-tools"}, Run: shell}),
		debian(Component{Name: "e2e-busybox", Image: images + "busybox:1.37.0-2", Base: []string{"base-busybox"}, Run: shell}),
		debian(Component{Name: "e2e-nonroot", Image: images + "nonroot:1.5", Base: []string{"base-busybox"},
			Run: image.Run{Cmd: []string{"sh"}, User: "1234"}}),
		debian(Component{Name: "e2e-nonewprivs", Image: images + "nonewprivs:1.4", Base: []string{"base-busybox"},
			Binaries: []Binary{{Name: "nnp", Package: "k8s.io/kubernetes/test/images/nonewprivs", Setuid: true}},
			Run:      image.Run{Cmd: []string{"nnp"}}}),
		debian(Component{Name: "e2e-nginx", Image: images + "nginx:1.27.0-2", Names: []string{images + "nginx:1.28.0-2"},
			Base: []string{"base-busybox", "base-nginx"}, Run: image.Run{Cmd: []string{"nginx", "-g", "daemon off;"}}}),
		{
			Name: "e2e-apiserver", Version: "v0.37.2", Module: "k8s.io/sample-apiserver", License: "Apache-2.0",
			Source: "sample-apiserver", OnDemand: true, Image: images + "sample-apiserver:1.29.2",
			Binaries: []Binary{{Name: "sample-apiserver", Package: "k8s.io/sample-apiserver"}},
		},
		test(Component{Name: "e2e-etcd", Image: "registry.k8s.io/etcd:3.7.0-0", With: []string{"etcd"}, Run: image.Run{Cmd: []string{"etcd"}}}),
		test(Component{Name: "e2e-pause", Image: "registry.k8s.io/pause:3.10.2", With: []string{"pause"},
			Run: image.Run{Entrypoint: []string{"/usr/local/bin/pause"}}}),
	}
}
