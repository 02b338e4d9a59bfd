// Package footprint keeps what a long-running program of craton holds in memory near what
// it uses. Most of a Go program's file is needed while it starts and never again, but stays
// mapped, and counts as the machine's memory in use.
//
// It frees nothing that the program has allocated: that is the garbage collector's work.
package footprint

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// settled is when a program has started, where the machine is quick: by then it has used
// what only a start uses.
const settled = 5 * time.Second

// Reach is how far a trim goes.
type Reach int

const (
	// Mapping takes pages out of the program alone. What it uses again is in the kernel's
	// cache, and comes with the 16 pages around it.
	Mapping Reach = iota
	// Cache takes them out of the kernel's cache too. What is used again comes from the
	// disk, page by page, so that nothing comes along that nobody uses. It is not for
	// programs that have to work while a disk hangs.
	Cache
)

// Keep trims once the program has started, then each time that it is twice as old, and each
// hour in the end: a machine that starts a whole cluster may take longer. It ends with ctx.
// That it cannot trim is no reason for a program not to go on, so nobody is told.
func Keep(ctx context.Context, reach Reach) {
	pause := settled
	for age := settled; ; age += pause {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		_ = Trim(reach)
		pause = min(age, time.Hour)
	}
}

// Trim takes the pages of the program's own file out of its memory that it only reads.
func Trim(reach Reach) error {
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return err
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(maps)) {
		start, end, ok := readOnly(line, exe)
		if !ok {
			continue
		}
		// Of a private mapping that nobody may write, nothing can be lost.
		advice := []uintptr{unix.MADV_DONTNEED}
		if reach == Cache {
			advice = []uintptr{unix.MADV_RANDOM, unix.MADV_DONTNEED}
		}
		for _, a := range advice {
			if _, _, errno := unix.Syscall(unix.SYS_MADVISE, start, end-start, a); errno != 0 {
				return fmt.Errorf("give %x-%x of %s back: %w", start, end, exe, errno)
			}
		}
	}
	if reach != Cache {
		return nil
	}
	f, err := os.Open("/proc/self/exe")
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
}

// readOnly reads a line of /proc/PID/maps, and tells whether it is of a mapping of this file
// that nobody may write.
func readOnly(line, file string) (start, end uintptr, ok bool) {
	f := strings.Fields(line)
	if len(f) < 6 || strings.Join(f[5:], " ") != file || len(f[1]) != 4 || f[1][0] != 'r' || f[1][1] != '-' || f[1][3] != 'p' {
		return 0, 0, false
	}
	if _, err := fmt.Sscanf(f[0], "%x-%x", &start, &end); err != nil || end <= start {
		return 0, 0, false
	}
	return start, end, true
}
