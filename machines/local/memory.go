package local

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// WatchMemory begins to look at what the kernel ends on the cluster's machines since they have no more
// memory than their size says. ended are the programs so far, with their machines; close ends it.
// A cgroup's own count would not do: on cgroup v1 it is that of the program's container, and
// goes with it.
func (p *Platform) WatchMemory() (ended func() ([]string, error), close func() error, err error) {
	const log = "/dev/kmsg"
	fd, err := unix.Open(log, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err == nil {
		_, err = unix.Seek(fd, 0, unix.SEEK_END) // what comes from now on
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w: without the kernel's messages nobody knows whether a machine's memory was enough", log, err)
	}
	var found []string
	record := make([]byte, 16<<10)
	return func() ([]string, error) {
		for {
			n, err := unix.Read(fd, record)
			switch {
			case errors.Is(err, unix.EAGAIN): // that was the last one
				return found, nil
			case errors.Is(err, unix.EPIPE), errors.Is(err, unix.EINTR): // newer ones have taken the place of some
				continue
			case err != nil:
				return found, fmt.Errorf("%s: %w", log, err)
			}
			if machine, program, ok := outOfMemory(string(record[:n]), p.Cluster); ok {
				found = append(found, program+" on "+machine)
			}
		}
	}, func() error { return unix.Close(fd) }, nil
}

// outOfMemory tells whether a message of the kernel's is about a program that was ended since its
// machine had no memory left. One that had used up its pod's own limit is none.
func outOfMemory(message, cluster string) (machine, program string, ok bool) {
	_, fields, ok := strings.Cut(message, "oom-kill:")
	if !ok {
		return "", "", false
	}
	at := ""
	fields, _, _ = strings.Cut(fields, "\n")
	for _, f := range strings.Split(fields, ",") {
		switch name, value, _ := strings.Cut(f, "="); name {
		case "oom_memcg":
			at = value
		case "task":
			program = value
		}
	}
	dir, machine := path.Split(at)
	return machine, program, dir == "/craton/"+cluster+"/" && program != ""
}
