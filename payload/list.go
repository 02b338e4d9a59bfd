package payload

import (
	"context"
	"strings"

	"craton.dev/craton/payload/cache"
)

// Row is a line of `craton payload list`.
type Row struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Module  string `json:"module"`
	// Kind says where it runs: image, machine, host, or several of them.
	Kind  string `json:"kind"`
	Image string `json:"image,omitempty"`
	// Bytes is the size of its files in the cache; 0 where it is not built.
	Bytes    int64  `json:"bytes"`
	License  string `json:"license"`
	OnDemand bool   `json:"onDemand,omitempty"`
}

// List names every component, with its size where the cache (DefaultCache() for "") has it.
func List(ctx context.Context, dir string) ([]Row, error) {
	if dir == "" {
		dir = DefaultCache()
	}
	store := cache.Store{Dir: dir}
	size := func(kind, name, key string, err error) int64 {
		if err != nil {
			return 0 // no Go here, or no source tree: then it is not built either
		}
		return cache.Size(store.Path(kind, name, key))
	}
	goVersion, goErr := toolchain(ctx)
	k, err := rootFSKey()
	rows := []Row{{
		Name: MachineImage, Version: "12", Module: "Debian " + debian, Kind: "machine",
		Bytes: size("rootfs", MachineImage, k, err), License: "several: usr/share/doc/*/copyright in it",
	}}
	for _, c := range Components() {
		k, err := "", goErr
		if err == nil && c.Module == module {
			var o own
			if o, err = findOwn(c); err == nil {
				k, err = o.key(c.Name, goVersion)
			}
		} else if err == nil {
			k, err = componentKey(c, goVersion)
		}
		var kinds []string
		if c.Image != "" {
			kinds = append(kinds, "image")
		}
		if c.NodeDir != "" {
			kinds = append(kinds, "machine")
		}
		if c.Host {
			kinds = append(kinds, "host")
		}
		bytes := size("bin", c.Name, k, err)
		for _, folder := range c.Base {
			k, err := baseKey(folder)
			bytes += size("base", folder, k, err)
		}
		rows = append(rows, Row{
			Name: c.Name, Version: c.Version, Module: c.Module, Kind: strings.Join(kinds, ", "), Image: c.Image,
			Bytes: bytes, License: c.License, OnDemand: c.OnDemand,
		})
	}
	return rows, nil
}
