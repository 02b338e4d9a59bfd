package payload

import (
	"fmt"
	"slices"
	"strings"

	"craton.dev/craton/payload/image"
)

// Component is one upstream project's part in a cluster: where it comes from and what
// it yields. Whoever adds one adds a value to Components and, where it has a module of
// its own, a folder to source/.
type Component struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	// Module is the Go module that holds the source.
	Module string `json:"module"`
	// License is its SPDX identifier.
	License string `json:"license"`
	// Source is the folder in source/ with its pinned module graph.
	Source   string   `json:"source"`
	Binaries []Binary `json:"binaries"`
	// Image is the full upstream name of the image that holds Binaries; "" for none.
	Image string `json:"image,omitempty"`
	// NodeDir is the folder on machines that holds Binaries; "" for none.
	NodeDir string `json:"nodeDir,omitempty"`
	// Host is set where the host runs Binaries.
	Host bool `json:"host,omitempty"`
	// OnDemand is set for what no cluster needs: built only where Options.Want names it.
	OnDemand bool `json:"onDemand,omitempty"`
	// Cgo links against the C library of Debian 12, which the machine image has.
	Cgo     bool   `json:"cgo,omitempty"`
	LDFlags string `json:"ldflags,omitempty"`
	// Tags are Go's build tags, with commas between.
	Tags string `json:"tags,omitempty"`
	// Nft adds nftables' program to the image.
	Nft bool `json:"nft,omitempty"`
	// Base are folders of source/, each with the Debian packages of a layer below the
	// programs, lowest first.
	Base []string `json:"base,omitempty"`
	// With are the components whose programs the image has too.
	With []string `json:"with,omitempty"`
	// Names are further names of the image.
	Names []string `json:"names,omitempty"`
	// Run is what a container of the image does, where that is not to start Binaries' first.
	Run image.Run `json:"run,omitzero"`
}

// Binary is one program: its name, and the package, Go files or C file that it is built from.
type Binary struct {
	Name    string `json:"name"`
	Package string `json:"package"`
	// Test is set where the program is the package's tests.
	Test bool `json:"test,omitempty"`
	// Setuid lets the program run as root, whoever starts it.
	Setuid bool `json:"setuid,omitempty"`
}

// MachineImage is the name under which Want and events know the machines' root file system.
const MachineImage = "machine-image"

// Operator is the name of the component that is built from this project itself: the
// operator and the checkpointer, in one image.
const Operator = "craton-operator"

const (
	kubernetes        = "v1.37.2"
	kubernetesLDFlags = "-X k8s.io/component-base/version.gitVersion=" + kubernetes +
		" -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=37" +
		" -X k8s.io/component-base/version.gitTreeState=clean"
)

// Components are all of them. Those of one source are built one after another, so the
// slow ones stand first.
func Components() []Component {
	kube := func(c Component) Component {
		c.Version, c.Module, c.License, c.Source = kubernetes, "k8s.io/kubernetes", "Apache-2.0", "kubernetes"
		if c.Binaries == nil {
			c.Binaries = []Binary{{Name: c.Name, Package: "k8s.io/kubernetes/cmd/" + c.Name}}
		}
		c.LDFlags = kubernetesLDFlags
		return c
	}
	return append([]Component{
		kube(Component{Name: "kube-apiserver", Image: "registry.k8s.io/kube-apiserver:" + kubernetes}),
		kube(Component{Name: "kube-controller-manager", Image: "registry.k8s.io/kube-controller-manager:" + kubernetes}),
		kube(Component{Name: "kube-scheduler", Image: "registry.k8s.io/kube-scheduler:" + kubernetes}),
		kube(Component{Name: "kube-proxy", Image: "registry.k8s.io/kube-proxy:" + kubernetes, Nft: true}),
		kube(Component{Name: "kubelet", NodeDir: "usr/local/bin"}),
		kube(Component{Name: "kubectl", Host: true}),
		kube(Component{Name: "kubeadm", Host: true, OnDemand: true}),
		kube(Component{Name: "agnhost", OnDemand: true, Image: "registry.k8s.io/e2e-test-images/agnhost:2.59",
			Binaries: []Binary{{Name: "agnhost", Package: "k8s.io/kubernetes/test/images/agnhost"}}}),
		{
			Name: "pause", Version: "3.10.2", Module: "k8s.io/kubernetes", License: "Apache-2.0", Source: "kubernetes",
			Binaries: []Binary{{Name: "pause", Package: "build/pause/linux/pause.c"}},
			Image:    "registry.k8s.io/pause:3.10",
		},
		{
			Name: "registry", Version: "v3.1.2", Module: "github.com/distribution/distribution/v3", License: "Apache-2.0",
			Source: "registry", Host: true,
			Binaries: []Binary{{Name: "registry", Package: "github.com/distribution/distribution/v3/cmd/registry"}},
		},
		{
			Name: "coredns", Version: "v1.15.0", Module: "github.com/coredns/coredns", License: "Apache-2.0",
			Source: "coredns", Host: true, Image: "registry.k8s.io/coredns/coredns:v1.15.0",
			Binaries: []Binary{{Name: "coredns", Package: "github.com/coredns/coredns"}},
		},
		{
			Name: "containerd", Version: "v2.4.2", Module: "github.com/containerd/containerd/v2", License: "Apache-2.0",
			Source: "containerd", NodeDir: "usr/local/bin",
			LDFlags: "-X github.com/containerd/containerd/v2/version.Version=v2.4.2",
			Binaries: []Binary{
				{Name: "containerd", Package: "github.com/containerd/containerd/v2/cmd/containerd"},
				{Name: "containerd-shim-runc-v2", Package: "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2"},
				{Name: "ctr", Package: "github.com/containerd/containerd/v2/cmd/ctr"},
			},
		},
		{
			Name: "etcd", Version: "v3.7.3", Module: "go.etcd.io/etcd", License: "Apache-2.0",
			Source: "etcd", Image: "quay.io/coreos/etcd:v3.7.3",
			Binaries: []Binary{
				{Name: "etcd", Package: "go.etcd.io/etcd/server/v3"},
				{Name: "etcdctl", Package: "go.etcd.io/etcd/etcdctl/v3"},
				{Name: "etcdutl", Package: "go.etcd.io/etcd/etcdutl/v3"},
			},
		},
		{
			Name: "flannel", Version: "v0.28.10", Module: "github.com/flannel-io/flannel", License: "Apache-2.0",
			Source: "flannel", Image: "docker.io/flannel/flannel:v0.28.10", Nft: true,
			Binaries: []Binary{{Name: "flanneld", Package: "main.go"}},
		},
		{
			Name: "ignition", Version: "v2.24.0", Module: "github.com/coreos/ignition/v2", License: "Apache-2.0",
			Source: "ignition", NodeDir: "usr/lib/craton", Cgo: true,
			LDFlags: "-X github.com/coreos/ignition/v2/internal/distro.selinuxRelabel=false" +
				" -X github.com/coreos/ignition/v2/internal/version.Raw=2.24.0",
			Binaries: []Binary{{Name: "ignition", Package: "github.com/coreos/ignition/v2/internal"}},
		},
		{
			Name: "cni-plugins", Version: "v1.9.1", Module: "github.com/containernetworking/plugins", License: "Apache-2.0",
			Source: "cni", NodeDir: "opt/cni/bin",
			Binaries: []Binary{
				{Name: "bridge", Package: "github.com/containernetworking/plugins/plugins/main/bridge"},
				{Name: "ptp", Package: "github.com/containernetworking/plugins/plugins/main/ptp"},
				{Name: "loopback", Package: "github.com/containernetworking/plugins/plugins/main/loopback"},
				{Name: "host-local", Package: "github.com/containernetworking/plugins/plugins/ipam/host-local"},
				{Name: "portmap", Package: "github.com/containernetworking/plugins/plugins/meta/portmap"},
			},
		},
		{
			Name: "dex", Version: "v2.45.1", Module: "github.com/dexidp/dex", License: "Apache-2.0",
			Source: "dex", Image: "docker.io/dexidp/dex:v2.45.1", OnDemand: true,
			Binaries: []Binary{{Name: "dex", Package: "main.go limit.go patient.go"}},
		},
		{
			Name: "traefik", Version: "v3.6.12", Module: "github.com/traefik/traefik/v3", License: "MIT",
			Source: "traefik", Image: "docker.io/library/traefik:v3.6.12", OnDemand: true,
			LDFlags:  "-X github.com/traefik/traefik/v3/pkg/version.Version=v3.6.12",
			Binaries: []Binary{{Name: "traefik", Package: "main.go"}},
		},
		{
			Name: "node-exporter", Version: "v1.12.1", Module: "github.com/prometheus/node_exporter", License: "Apache-2.0",
			Source: "node-exporter", Image: "quay.io/prometheus/node-exporter:v1.12.1", OnDemand: true,
			Binaries: []Binary{{Name: "node_exporter", Package: "github.com/prometheus/node_exporter"}},
			LDFlags:  "-X github.com/prometheus/common/version.Version=1.12.1",
		},
		{
			Name: "cadvisor", Version: "v0.60.5", Module: "github.com/google/cadvisor/lib", License: "Apache-2.0",
			Source: "cadvisor", Image: "gcr.io/cadvisor/cadvisor:v0.60.5", OnDemand: true,
			Binaries: []Binary{{Name: "cadvisor", Package: "main.go"}},
		},
		{
			Name: "metrics-server", Version: "v0.9.0", Module: "sigs.k8s.io/metrics-server", License: "Apache-2.0",
			Source: "metrics-server", Image: "registry.k8s.io/metrics-server/metrics-server:v0.9.0", OnDemand: true,
			Binaries: []Binary{{Name: "metrics-server", Package: "sigs.k8s.io/metrics-server/cmd/metrics-server"}},
		},
		{
			// Machines are those of the plan: no cloud is asked for them.
			Name: "prometheus", Version: "v0.316.0", Module: "github.com/prometheus/prometheus", License: "Apache-2.0",
			Source: "prometheus", Image: "quay.io/prometheus/prometheus:v3.16.0", OnDemand: true, Tags: "remove_all_sd",
			Binaries: []Binary{{Name: "prometheus", Package: "github.com/prometheus/prometheus/cmd/prometheus"}},
			LDFlags:  "-X github.com/prometheus/common/version.Version=3.16.0",
		},
		{
			Name: Operator, Version: Version, Module: module, License: "Apache-2.0",
			Image: "quay.io/craton/operator:" + Version,
			Binaries: []Binary{
				{Name: Operator, Package: "craton.dev/craton/cmd/craton-operator"},
				{Name: "craton-checkpointer", Package: "craton.dev/craton/cmd/craton-checkpointer"},
			},
		},
		{
			Name: "console", Version: Version, Module: module, License: "Apache-2.0", OnDemand: true,
			Image:    "quay.io/craton/console:" + Version,
			Binaries: []Binary{{Name: "craton-console", Package: "craton.dev/craton/cmd/craton-console"}},
		},
	}, suite()...)
}

// Version is craton's own.
const Version = "v0.1.0"

// Image is the full name of a component's image, such as
// "registry.k8s.io/kube-proxy:v1.37.2". It is "" for a component that has none.
func Image(component string) string {
	for _, c := range Components() {
		if c.Name == component {
			return c.Image
		}
	}
	return ""
}

// Hosts are the registries whose images the payload has, sorted.
func Hosts() []string {
	var hosts []string
	for _, c := range Components() {
		if c.Image != "" {
			hosts = append(hosts, c.Image[:strings.Index(c.Image, "/")])
		}
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}

// Default names all that a cluster needs: what Build makes where Options.Want is nil.
func Default() []string {
	names := []string{MachineImage}
	for _, c := range Components() {
		if !c.OnDemand {
			names = append(names, c.Name)
		}
	}
	return names
}

// choose returns the wanted components in Components' order, and whether the machine
// image is wanted, with what they need themselves.
func choose(want []string) ([]Component, bool, error) {
	wanted := map[string]bool{}
	for _, name := range want {
		wanted[name] = true
	}
	all := Components()
	for _, c := range all {
		if wanted[c.Name] {
			for _, other := range c.With {
				wanted[other] = true
			}
		}
	}
	for _, c := range all {
		if wanted[c.Name] && c.Image != "" {
			wanted["registry"] = true // images are pushed into its storage
		}
		if wanted[c.Name] && c.Nft {
			wanted[MachineImage] = true // that is where nft comes from
		}
	}
	var chosen []Component
	for _, c := range all {
		if wanted[c.Name] {
			chosen = append(chosen, c)
			delete(wanted, c.Name)
		}
	}
	image := wanted[MachineImage]
	delete(wanted, MachineImage)
	for name := range wanted {
		return nil, false, fmt.Errorf("there is no component %q: `craton payload list` names them all", name)
	}
	return chosen, image, nil
}
