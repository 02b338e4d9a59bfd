// Package firstboot is what a machine needs on its disk at its first boot: files, units
// and users, worked out once from the plan and independent of the format that carries
// them. Packages ignition and cloudinit write the formats.
//
// A machine gets the keys that it needs and no others.
package firstboot

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
