package firstboot

import (
	"fmt"
	"strings"

	"craton.dev/craton/contract"
	"craton.dev/craton/plan"
)

// system are the files of the operating system: names and the kernel's settings.
func system(p *plan.Plan, m *plan.Machine, opt Options) []File {
	var resolv strings.Builder
	for _, r := range p.Network.Resolvers {
		fmt.Fprintf(&resolv, "nameserver %s\n", r)
	}
	files := []File{
		{"/etc/hostname", 0o644, []byte(m.Name + "\n")},
		{"/etc/hosts", 0o644, fmt.Appendf(nil, "127.0.0.1 localhost\n%s %s\n", m.Address, m.Name)},
		{"/etc/resolv.conf", 0o644, []byte(resolv.String())},
		{"/etc/sysctl.d/90-craton.conf", 0o644, sysctls},
	}
	if len(opt.Modules) > 0 {
		files = append(files, File{"/etc/modules-load.d/craton.conf", 0o644, []byte(strings.Join(opt.Modules, "\n") + "\n")})
	}
	return files
}

// sysctls are of the network namespace only: where the machine is a container, nothing of
// them reaches its host. The dash lets a kernel without the bridge filter go on.
var sysctls = []byte(`# Pods' packets are routed.
net.ipv4.ip_forward = 1
# A pod that reaches itself or its neighbour through a service gets its answers translated.
-net.bridge.bridge-nf-call-iptables = 1
# A program that makes way for its successor on the same port leaves it the connections that
# it has not taken yet (an ingress controller on host ports).
-net.ipv4.tcp_migrate_req = 1
`)

// sshFile makes the SSH server listen on the machine's own address, and only on masters:
// the contract opens ssh to no other machine.
func sshFile(m *plan.Machine) File {
	if m.Role == contract.Master {
		return File{"/etc/ssh/sshd_config.d/address.conf", 0o644, fmt.Appendf(nil, "ListenAddress %s\n", m.Address)}
	}
	return File{"/etc/systemd/system/ssh.service.d/off.conf", 0o644, []byte("[Unit]\nConditionPathExists=!" + kubeletConfig + "\n")}
}
