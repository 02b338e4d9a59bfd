package payload

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"craton.dev/craton/command"
)

// debian is the machine image's release.
const debian = "bookworm"

// epoch stands in for "now" wherever a build would write the time.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

var errNotRoot = errors.New("what is made of Debian's packages can only be made by root: run craton with sudo")

// rootFSKey does not cover the versions of Debian's packages: the image has those of the
// day on which it was made, with that day's security fixes.
func rootFSKey() (string, error) {
	files, err := sourceFiles("rootfs")
	if err != nil {
		return "", err
	}
	return key(MachineImage, debian, files)
}

// makeRootFS unpacks a Debian with what all machines share into dir; work is a folder for
// the meantime.
func makeRootFS(ctx context.Context, dir, work string) error {
	if os.Geteuid() != 0 {
		return errNotRoot
	}
	files, err := sourceFiles("rootfs")
	if err != nil {
		return err
	}
	setup := filepath.Join(work, "setup.sh")
	if err := os.WriteFile(setup, []byte(files["setup.sh"]), 0o755); err != nil {
		return err
	}
	err = debstrap(ctx, dir, work, "--variant=minbase", files["packages"],
		"--dpkgopt=path-exclude=/usr/share/doc/*",
		"--dpkgopt=path-include=/usr/share/doc/*/copyright",
		"--dpkgopt=path-exclude=/usr/share/man/*",
		"--dpkgopt=path-exclude=/usr/share/info/*",
		"--dpkgopt=path-exclude=/usr/share/locale/*",
		"--customize-hook="+setup+` "$1"`)
	if err != nil {
		return err
	}
	return clampTimes(dir)
}

// debstrap unpacks Debian packages, named by their lines, into dir.
func debstrap(ctx context.Context, dir, work, variant, packages string, more ...string) error {
	args := append([]string{
		// A mount and process namespace of its own: if we are killed, all of it goes.
		"--mount", "--pid", "--fork", "--kill-child",
		"mmdebstrap", "--mode=root", variant, "--format=directory", "--quiet", "--skip=check/empty",
		"--include=" + strings.Join(strings.Fields(packages), ","),
	}, more...)
	args = append(args, debian, dir)
	if mirror := os.Getenv("CRATON_DEBIAN_MIRROR"); mirror != "" {
		args = append(args, mirror)
	}
	_, err := command.Cmd{
		Name: "unshare", Args: args, Timeout: buildTime, Attr: dieWithUs(),
		Env: []string{fmt.Sprintf("SOURCE_DATE_EPOCH=%d", epoch.Unix()), "TMPDIR=" + work},
	}.Run(ctx)
	return err
}

// clampTimes sets the times of what the build itself wrote, so that two builds agree.
func clampTimes(dir string) error {
	ts := []unix.Timespec{unix.NsecToTimespec(epoch.UnixNano()), unix.NsecToTimespec(epoch.UnixNano())}
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.ModTime().After(epoch) {
			return unix.UtimesNanoAt(unix.AT_FDCWD, path, ts, unix.AT_SYMLINK_NOFOLLOW)
		}
		return nil
	})
}

// makeNodeFS puts the machines' programs into dir, as a layer over the root file system.
// They are links to those in the cache, not copies.
func makeNodeFS(bins map[string]string, components []Component, dir string) error {
	for _, c := range components {
		if c.NodeDir == "" {
			continue
		}
		to := filepath.Join(dir, c.NodeDir)
		if err := os.MkdirAll(to, 0o755); err != nil {
			return err
		}
		for _, b := range c.Binaries {
			if err := os.Link(bins[b.Name], filepath.Join(to, b.Name)); err != nil {
				return err
			}
		}
	}
	return nil
}
