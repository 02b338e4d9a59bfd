// Package firstboot is what a machine needs on its disk at its first boot: files, units
// and users, worked out once from the plan and independent of the format that carries
// them. Packages ignition and cloudinit write the formats.
//
// A machine gets the keys that it needs and no others: a worker has no private key at all,
// only a token that lets its kubelet ask for a certificate. The image holds the programs;
// the static pods come from package manifests by way of Options.
package firstboot

import (
	"fmt"
	"net/netip"
	"sort"

	"craton.dev/craton/contract"
	"craton.dev/craton/pki"
	"craton.dev/craton/plan"
)

// Config is a machine's first-boot configuration.
type Config struct {
	Hostname string
	Files    []File // sorted by path
	Units    []Unit // sorted by name
	Users    []User
}

// File is a file to write, owned by root.
type File struct {
	Path     string
	Mode     int // 0600, 0644, 0755
	Contents []byte
}

// Unit is a systemd unit.
type Unit struct {
	Name     string
	Enabled  bool
	Contents string
}

// User is a login with its authorized keys.
type User struct {
	Name    string
	SSHKeys []string
}

// Options are what a platform or the payload knows and a plan does not.
type Options struct {
	// Manifests are further files of a master: its static pods and what they read.
	Manifests []File
	// PauseImage is the image of pods' sandboxes.
	PauseImage string
	// PinnedImages are images, by their components' names, that the machine never removes
	// to make room.
	PinnedImages map[string]string
	// KubeletClient is the first certificate of the kubelet as a client, for the machine that a cluster begins
	// with: no API is there yet that its kubelet could ask for one. Others ask with a token, as it does too where it is given none.
	KubeletClient pki.Pair
	// Joins is set for a master that joins others and has no API server before it has joined: its
	// kubelet joins by the API's name. JoinsAfter is who has to say first, by HTTP at /readyz, that
	// he is ready; a zero one says nothing.
	Joins      bool
	JoinsAfter netip.AddrPort
	// Start is the machine's first start: the images that it gets while its kubelet starts,
	// and static pods that come with them.
	Start []Step
	// RegistryCA is the certificate of the authority of the platform's own registry. Where
	// it is set, the machine trusts it for the names in Registries and for nothing else;
	// where not, it trusts for images what the image of the machine does.
	RegistryCA []byte
	// SSHKeys are authorized_keys lines for masters, beside the cluster file's.
	SSHKeys []string
	// RestrictOOMScoreAdj is for machines whose root lacks CAP_SYS_RESOURCE: containerd then
	// does not lower a container's OOM score below its own.
	RestrictOOMScoreAdj bool
	// FeatureGates are the kubelet's.
	FeatureGates map[string]bool
	// Modules are kernel modules that the machine loads on boot.
	Modules []string
}

// For is the first-boot configuration of one machine. It is an error where the plan has no
// such machine, a secret is missing, static pods are meant for a machine that is no
// master, or two files have one path.
func For(p *plan.Plan, machine string, s *pki.Secrets, opt Options) (*Config, error) {
	m := find(p, machine)
	if m == nil {
		return nil, fmt.Errorf("firstboot: the plan of cluster %s has no machine %q", p.Cluster, machine)
	}
	master := m.Role == contract.Master
	if len(opt.Manifests) > 0 && !master {
		return nil, fmt.Errorf("firstboot: %s is no master: it runs no static pods, %s is for masters only",
			machine, opt.Manifests[0].Path)
	}
	config := &Config{Hostname: m.Name}
	files := system(p, m, opt)
	files = append(files, containerd(opt)...)
	kubelet, err := kubeletFiles(p, m, s, opt)
	if err != nil {
		return nil, err
	}
	files = append(append(files, kubelet...), joinFile(p, m, opt), sshFile(m))
	files = append(files, startFiles(opt)...)
	if master {
		secrets, err := masterSecrets(p, m, s)
		if err != nil {
			return nil, err
		}
		files = append(append(append(files, secrets...), opt.Manifests...), serverFile(p, m))
		config.Users, files = addUser(p, opt, files)
	}
	sort.Slice(files, func(i, j int) bool { return files[i].Path < files[j].Path })
	for i := 1; i < len(files); i++ {
		if files[i].Path == files[i-1].Path {
			return nil, fmt.Errorf("firstboot: %s would get two files %s: leave one out", machine, files[i].Path)
		}
	}
	config.Files = files
	config.Units = []Unit{containerdUnit, wholeUnit, imagesUnit, joinUnit, kubeletUnit(p, m)}
	if master {
		config.Units = append(config.Units, serverUnits...)
	}
	sort.Slice(config.Units, func(i, j int) bool { return config.Units[i].Name < config.Units[j].Name })
	return config, nil
}

func find(p *plan.Plan, name string) *plan.Machine {
	for i := range p.Machines {
		if p.Machines[i].Name == name {
			return &p.Machines[i]
		}
	}
	return nil
}

// userName is the login on masters; the contract opens ssh to masters only.
const userName = "core"

func addUser(p *plan.Plan, opt Options, files []File) ([]User, []File) {
	var keys []string
	if p.File != nil {
		keys = append(keys, p.File.SSHKeys...)
	}
	keys = append(keys, opt.SSHKeys...)
	if len(keys) == 0 {
		return nil, files
	}
	return []User{{Name: userName, SSHKeys: keys}}, append(files, File{
		Path: "/etc/sudoers.d/" + userName, Mode: 0o600, Contents: []byte(userName + " ALL=(ALL) NOPASSWD: ALL\n"),
	})
}
