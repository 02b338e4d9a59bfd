package firstboot

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// registries are the registries of the contract's egress clauses, by the host that serves
// each one's images.
var registries = []struct{ name, server string }{
	{"docker.io", "registry-1.docker.io"},
	{"gcr.io", "gcr.io"},
	{"quay.io", "quay.io"},
	{"registry.k8s.io", "registry.k8s.io"},
}

// RegistryHosts are the host names by which a machine reaches the registries: those that
// the platform's own registry answers for, sorted.
func RegistryHosts() []string {
	return []string{"docker.io", "gcr.io", "quay.io", "registry-1.docker.io", "registry.k8s.io"}
}

// containerd are the container runtime's files.
func containerd(opt Options) []File {
	var pinned strings.Builder
	for _, name := range slices.Sorted(maps.Keys(opt.PinnedImages)) {
		fmt.Fprintf(&pinned, "  %s = %q\n", name, opt.PinnedImages[name])
	}
	files := []File{{containerdConfig, 0o644, fmt.Appendf(nil, containerdTemplate, opt.PauseImage, &pinned, RegistryDir, opt.RestrictOOMScoreAdj)}}
	if len(opt.RegistryCA) == 0 {
		return files
	}
	for _, r := range registries {
		dir := RegistryDir + "/" + r.name
		files = append(files,
			File{dir + "/ca.crt", 0o644, opt.RegistryCA},
			File{dir + "/hosts.toml", 0o644, fmt.Appendf(nil, hostsTemplate, r.server, r.server, dir)},
		)
	}
	return files
}

// containerdTemplate is the configuration of containerd 2.4, whose socket is where the
// kubelet's configuration expects it without a word here. AppArmor is left to the machine's
// image: where the kernel has it and the machine is a container, loading a profile fails.
//
// What is unpacked of an image is on the disk before the image is said to be there: if the
// power failed in between, its programs would be empty files for ever.
const containerdTemplate = `version = 4

[plugins."io.containerd.cri.v1.images"]
  image_pull_with_sync_fs = true

[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "%s"
%s
[plugins."io.containerd.cri.v1.images".registry]
  config_path = "%s"

[plugins."io.containerd.cri.v1.runtime"]
  disable_apparmor = true
  restrict_oom_score_adj = %t

[plugins."io.containerd.cri.v1.runtime".cni]
  bin_dirs = ["/opt/cni/bin"]
  conf_dir = "/etc/cni/net.d"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
  SystemdCgroup = false
`

const hostsTemplate = `server = "https://%s"

[host."https://%s"]
  capabilities = ["pull", "resolve"]
  ca = "%s/ca.crt"
`

// containerdUnit never gives up: StartLimitIntervalSec is 0. KillMode leaves containers
// alone when containerd is restarted.
var containerdUnit = Unit{Name: "containerd.service", Enabled: true, Contents: `[Unit]
Description=Container runtime
After=local-fs.target
StartLimitIntervalSec=0

[Service]
Type=notify
ExecStart=/usr/local/bin/containerd
Delegate=yes
KillMode=process
Restart=always
RestartSec=1
LimitNOFILE=1048576
LimitNPROC=infinity
TasksMax=infinity
OOMScoreAdjust=-999

[Install]
WantedBy=multi-user.target
`}
