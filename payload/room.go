package payload

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"craton.dev/craton/command"
	"craton.dev/craton/disk"
	"craton.dev/craton/payload/cache"
)

// What a first build of all components writes at most, in bytes: measured, with some room.
// The cache holds Debian, the programs, and the images made of them; Go's caches the
// modules' sources and the compiled packages.
const (
	CacheDisk = 4 << 30
	GoDisk    = 14 << 30
)

// goCaches are the folders in which Go keeps modules and compiled packages; none where
// there is no Go.
func goCaches(ctx context.Context) []string {
	out, err := command.Cmd{Name: "go", Args: []string{"env", "GOMODCACHE", "GOCACHE"}, Dir: os.TempDir(), Env: goEnv(false)}.Run(ctx)
	if err != nil {
		return nil
	}
	var dirs []string
	for line := range strings.Lines(string(out)) {
		if dir := strings.TrimSpace(line); filepath.IsAbs(dir) { // GOCACHE can be "off"
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// room refuses to begin builds for which a disk has no room: they take minutes, and end
// where the disk does. missing of all components are to be built.
func (b *build) room(ctx context.Context, missing, all int) error {
	if missing == 0 {
		return nil
	}
	share := func(bytes uint64) uint64 { return bytes / uint64(all) * uint64(missing) }
	here, err := disk.At(b.store.Dir)
	if err != nil {
		return err
	}
	caches := goCaches(ctx)
	places := []place{{here, share(CacheDisk), []string{b.store.Dir}}}
	for _, dir := range caches {
		r, err := disk.At(dir)
		if err != nil {
			return err
		}
		places = add(places, r, share(GoDisk)/uint64(len(caches)), dir)
	}
	for _, p := range places {
		if p.need <= p.room.Free {
			continue
		}
		// Go's caches may hold much of it already. To look is slow, so it is done last.
		for _, dir := range caches {
			if p.has(dir) {
				p.need -= min(p.need, uint64(cache.Size(dir)))
			}
		}
		if p.need > p.room.Free {
			return &failed{sentence: fmt.Sprintf("payload: a disk is too small: %s, and building %d components needs about %s in %s: make room, or move the cache with CRATON_CACHE and Go's with GOCACHE and GOMODCACHE, then run it again",
				p.room, missing, disk.Size(p.need), strings.Join(p.dirs, ", "))}
		}
	}
	return nil
}

// place is a file system, what is needed on it, and for which folders.
type place struct {
	room disk.Room
	need uint64
	dirs []string
}

func (p place) has(dir string) bool { return slices.Contains(p.dirs, dir) }

// add adds a need to its file system's.
func add(places []place, r disk.Room, need uint64, dir string) []place {
	for i := range places {
		if places[i].room.Same(r) {
			places[i].need += need
			places[i].dirs = append(places[i].dirs, dir)
			return places
		}
	}
	return append(places, place{r, need, []string{dir}})
}

// missingParts counts what the cache does not have of what is wanted.
func (b *build) missingParts(components []Component, image bool) (missing, all int) {
	count := func(there bool) {
		all++
		if !there {
			missing++
		}
	}
	if image {
		k, err := rootFSKey()
		count(err == nil && b.store.Has("rootfs", MachineImage, k))
	}
	for _, c := range components {
		count(b.store.Has("bin", c.Name, b.keys[c.Name]))
	}
	return missing, max(all, len(Default()))
}
