// Package cloudinit writes a machine's first-boot configuration as cloud-init's
// #cloud-config.
//
// What a machine gets is package firstboot's business; here is only the format.
package cloudinit

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"unicode"

	"gopkg.in/yaml.v3"

	"craton.dev/craton/render/firstboot"
)

// unitDir is where the system's administrator puts units.
const unitDir = "/etc/systemd/system/"

type config struct {
	// cloud-init would otherwise write these files of its own accord, over ours.
	PreserveHostname bool `yaml:"preserve_hostname"`
	ManageHosts      bool `yaml:"manage_etc_hosts"`
	ManageResolv     bool `yaml:"manage_resolv_conf"`
	// Users is never left out: cloud-init would make its default user.
	Users  []user     `yaml:"users"`
	Files  []file     `yaml:"write_files"`
	Runcmd [][]string `yaml:"runcmd"`
}

type user struct {
	Name    string   `yaml:"name"`
	Shell   string   `yaml:"shell"`
	SSHKeys []string `yaml:"ssh_authorized_keys,omitempty"`
}

type file struct {
	Path        string `yaml:"path"`
	Owner       string `yaml:"owner"`
	Permissions string `yaml:"permissions"`
	Encoding    string `yaml:"encoding"`
	Content     string `yaml:"content"`
}

// Render is the configuration as #cloud-config. cloud-init writes all files, units among
// them, early in the boot and runs the commands at its end: so a unit starts when every
// file that it reads is there. The error names a path or a unit that cloud-init would
// write somewhere else than meant.
func Render(c *firstboot.Config) ([]byte, error) {
	out := config{PreserveHostname: true, Files: make([]file, 0, len(c.Files)+len(c.Units))}
	for _, f := range c.Files {
		if f.Path == "" || f.Path[0] != '/' {
			return nil, fmt.Errorf("cloudinit: %s: the file %q has no absolute path", c.Hostname, f.Path)
		}
		out.Files = append(out.Files, fileOf(f.Path, f.Mode, f.Contents))
	}
	enable := []string{"systemctl", "enable", "--now", "--no-block"}
	named := len(enable)
	for _, u := range c.Units {
		if !unitName(u.Name) {
			return nil, fmt.Errorf("cloudinit: %s: %q is no name of a unit: want for instance kubelet.service", c.Hostname, u.Name)
		}
		out.Files = append(out.Files, fileOf(unitDir+u.Name, 0o644, []byte(u.Contents)))
		if u.Enabled {
			enable = append(enable, u.Name)
		}
	}
	// What the kernel reads at boot was read before the files were there.
	out.Runcmd = [][]string{{"systemctl", "restart", "systemd-sysctl.service"}, {"systemctl", "daemon-reload"}}
	if len(enable) > named {
		out.Runcmd = append(out.Runcmd, enable)
	}
	for _, u := range c.Users {
		out.Users = append(out.Users, user{Name: u.Name, Shell: "/bin/bash", SSHKeys: u.SSHKeys})
	}
	if len(out.Users) == 0 {
		// root is there already; the schema refuses an empty list.
		out.Users = []user{{Name: "root", Shell: "/bin/bash"}}
	}
	var b bytes.Buffer
	b.WriteString("#cloud-config\n")
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(out); err != nil {
		return nil, fmt.Errorf("cloudinit: %s: %w", c.Hostname, err)
	}
	return b.Bytes(), nil
}

func fileOf(path string, mode int, contents []byte) file {
	return file{
		Path: path, Owner: "root:root", Permissions: fmt.Sprintf("%04o", mode),
		Encoding: "b64", Content: base64.StdEncoding.EncodeToString(contents),
	}
}

// unitName keeps a unit's name from leading out of the folder of units.
func unitName(name string) bool {
	for _, r := range name {
		if r == '/' || unicode.IsSpace(r) {
			return false
		}
	}
	return len(name) > 0 && name[0] != '.' && name[0] != '-'
}
