package local

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// What in the cluster the host has loopback ports for: for the console's name only where
// something is there.
const (
	purposeAPI     = "api"
	purposeConsole = "console"
)

// APIPort is the host's loopback port for the API.
func (p *Platform) APIPort() (int, error) { return p.loopbackPort(purposeAPI) }

// ConsolePort is the host's loopback port for HTTPS to the console's name.
func (p *Platform) ConsolePort() (int, error) { return p.loopbackPort(purposeConsole) }

func (p *Platform) portFile(purpose string) string { return p.path("run", purpose+".port") }

// loopbackPort is the port that was chosen for that purpose, or one that is free now. A
// port is chosen once and kept, since kubeconfigs name it.
func (p *Platform) loopbackPort(purpose string) (int, error) {
	file := p.portFile(purpose)
	if b, err := os.ReadFile(file); err == nil {
		if port, err := strconv.Atoi(string(b)); err == nil {
			return port, nil
		}
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	return port, writeFile(file, []byte(strconv.Itoa(port)), 0o644)
}

// portFree refuses a port that somebody else has taken since it was chosen, and says who.
func (p *Platform) portFree(purpose string, port int) error {
	l, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err == nil {
		return l.Close()
	}
	if !errors.Is(err, unix.EADDRINUSE) {
		return fmt.Errorf("loopback port %d: %w", port, err)
	}
	who := "a process that this one cannot see"
	if pid := portOwner(port); pid != 0 {
		line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		words := strings.TrimSpace(strings.ReplaceAll(string(line), "\x00", " "))
		who = fmt.Sprintf("process %d (%.60s)", pid, words)
	}
	return fmt.Errorf("loopback port %d, by which this host reaches the %s, is taken by %s: end that, or remove %s so that another port is chosen (what was handed out, kubeconfigs for instance, names the old one), then run `craton up` again",
		port, purpose, who, p.portFile(purpose))
}

// awaitGateway waits till the gateway has its port, or says why it has ended.
func (p *Platform) awaitGateway(ctx context.Context, port int) error {
	ctx, cancel := context.WithTimeout(ctx, settle)
	defer cancel()
	proc := p.process(processGateway)
	for {
		pid := proc.pid()
		if pid == 0 {
			return fmt.Errorf("the gateway ended: %s; its log is %s", lastLine(proc.log), proc.log)
		}
		if holds(pid, listeners(port)) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the gateway does not listen on 127.0.0.1:%d after %s: %w; its log is %s", port, settle, ctx.Err(), proc.log)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// listeners are the inodes of the host's sockets which listen on the port, on whatever
// address.
func listeners(port int) map[string]bool {
	found := map[string]bool{}
	for _, file := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		b, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		for lines := bufio.NewScanner(bytes.NewReader(b)); lines.Scan(); {
			f := strings.Fields(lines.Text())
			if len(f) < 10 || f[3] != "0A" { // TCP_LISTEN
				continue
			}
			_, hex, _ := strings.Cut(f[1], ":")
			if n, err := strconv.ParseUint(hex, 16, 16); err == nil && int(n) == port {
				found["socket:["+f[9]+"]"] = true
			}
		}
	}
	return found
}

// holds tells whether the process has one of the sockets open.
func holds(pid int, sockets map[string]bool) bool {
	if len(sockets) == 0 {
		return false
	}
	links, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	for _, l := range links {
		if target, err := os.Readlink(l); err == nil && sockets[target] {
			return true
		}
	}
	return false
}

// portOwner is a process that listens on the port, or 0 where none is seen.
func portOwner(port int) int {
	sockets := listeners(port)
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, d := range dirs {
		if pid, err := strconv.Atoi(filepath.Base(d)); err == nil && holds(pid, sockets) {
			return pid
		}
	}
	return 0
}
