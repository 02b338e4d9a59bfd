package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"craton.dev/craton/plan"
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

// process is one that runs on a machine of a plan.
type process struct {
	machine, program string
	pid              int
}

// running are all of them.
func running(p *plan.Plan) (all []process, err error) {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		line, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		program, _, _ := strings.Cut(string(line), "\x00")
		pid, notOne := strconv.Atoi(filepath.Base(dir))
		if notOne != nil || program == "" {
			continue
		}
		if machine := machineOf(pid, p); machine != "" {
			all = append(all, process{machine, filepath.Base(program), pid})
		}
	}
	return all, err
}

// processorShares is how much of one core groups of processes take for so long, in percent.
func processorShares(ctx context.Context, lasting time.Duration, groups map[string][]int) (map[string]float64, error) {
	ticks := map[string]float64{}
	add := func(sign float64) {
		for name, pids := range groups {
			for _, pid := range pids {
				ticks[name] += sign * processorTicks(pid)
			}
		}
	}
	add(-1)
	if err := pass(ctx, lasting); err != nil {
		return nil, err
	}
	add(1)
	for name := range ticks {
		ticks[name] *= 100 / ticksOfSecond / lasting.Seconds()
	}
	return ticks, nil
}

// processorTicks is the processor time of a process so far, of its own and the kernel's for it.
func processorTicks(pid int) float64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(text), ") ") // its name may have spaces
	f := strings.Fields(rest)
	if len(f) < 13 {
		return 0
	}
	user, _ := strconv.ParseFloat(f[11], 64)
	system, _ := strconv.ParseFloat(f[12], 64)
	return user + system
}
