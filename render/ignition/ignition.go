// Package ignition writes a machine's first-boot configuration as Ignition, and checks it
// with Ignition's own validation.
//
// What a machine gets is package firstboot's business; here is only the format.
package ignition

import (
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/coreos/ignition/v2/config/util"
	types "github.com/coreos/ignition/v2/config/v3_4/types"
	"github.com/coreos/ignition/v2/config/validate"

	"craton.dev/craton/render/firstboot"
)

// Render is the configuration as Ignition of spec 3.4.0. Files replace what the image has.
// The error holds everything that Ignition's validation has to say.
func Render(c *firstboot.Config) ([]byte, error) {
	config := types.Config{Ignition: types.Ignition{Version: types.MaxVersion.String()}}
	for _, f := range c.Files {
		config.Storage.Files = append(config.Storage.Files, types.File{
			Node: types.Node{Path: f.Path, Overwrite: util.BoolToPtr(true)},
			FileEmbedded1: types.FileEmbedded1{
				Mode:     util.IntToPtr(f.Mode),
				Contents: types.Resource{Source: util.StrToPtr(dataURL(f.Contents))},
			},
		})
	}
	for _, u := range c.Units {
		config.Systemd.Units = append(config.Systemd.Units, types.Unit{
			Name: u.Name, Enabled: util.BoolToPtr(u.Enabled), Contents: util.StrToPtr(u.Contents),
		})
	}
	for _, u := range c.Users {
		user := types.PasswdUser{Name: u.Name, Shell: util.StrToPtr("/bin/bash")}
		for _, key := range u.SSHKeys {
			user.SSHAuthorizedKeys = append(user.SSHAuthorizedKeys, types.SSHAuthorizedKey(key))
		}
		config.Passwd.Users = append(config.Passwd.Users, user)
	}
	out, err := json.Marshal(config)
	if err != nil {
		return nil, fmt.Errorf("ignition: %s: %w", c.Hostname, err)
	}
	// No text goes along: with it, only line numbers would be added to what is found.
	if r := validate.ValidateWithContext(config, nil); len(r.Entries) > 0 {
		return nil, fmt.Errorf("ignition: the configuration of %s is not valid: %s", c.Hostname, r.String())
	}
	return append(out, '\n'), nil
}

// dataURL carries contents as base64: percent-encoding is longer for keys and YAML.
func dataURL(contents []byte) string {
	const head = "data:;base64,"
	b := make([]byte, 0, len(head)+base64.StdEncoding.EncodedLen(len(contents)))
	b = append(b, head...)
	return string(base64.StdEncoding.AppendEncode(b, contents))
}
