package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// usage is what a process took. cpu is its processor time, peak its greatest resident
// memory, in bytes.
type usage struct {
	wall, cpu time.Duration
	peak      int64
}

// measure runs craton to its end. What it prints is read and thrown away.
//
// Package command cannot do this: it does not tell what the process took.
func (b *bench) measure(ctx context.Context, args ...string) (usage, error) {
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, b.craton, args...)
	cmd.Stdout, cmd.Stderr = io.Discard, &stderr
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return usage{}, err
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	var seen int64
	for {
		select {
		case err := <-done:
			u := usage{wall: time.Since(began), peak: seen}
			u.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
			if err != nil {
				return u, fmt.Errorf("%s: %w: %s", cmd, err, strings.TrimSpace(stderr.String()))
			}
			// The kernel counts the memory of the process that forked as the new one's, up to
			// its exec. So its answer is only good where it is more than this process ever had.
			peak := cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss << 10
			if peak > statusBytes(os.Getpid(), "VmHWM") {
				u.peak = peak
			}
			return u, nil
		case <-time.After(2 * time.Millisecond):
			seen = max(seen, statusBytes(cmd.Process.Pid, "VmHWM"))
		}
	}
}

// statusBytes is a field of /proc/PID/status, which are in KiB; 0 where there is none.
func statusBytes(pid int, field string) int64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, field+":"); ok {
			kib, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
			return kib << 10
		}
	}
	return 0
}
