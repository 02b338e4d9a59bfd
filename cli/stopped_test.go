package cli

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestStopped protects ^C in the middle of a build, whose compiler would run for a minute: craton ends at once, says in
// one sentence that it was stopped, and leaves neither the compiler nor a lock, so that the same command goes on.
func TestStopped(t *testing.T) {
	dir := t.TempDir()
	compiler := func(script string) {
		if err := os.WriteFile(filepath.Join(dir, "go"), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	build := func() (*exec.Cmd, *bytes.Buffer) {
		cmd := exec.Command("craton", "payload", "build", "kubectl")
		cmd.Env = append(os.Environ(), "CRATON_CACHE="+filepath.Join(dir, "cache"), "PATH="+dir+":"+os.Getenv("PATH"))
		var said bytes.Buffer
		cmd.Stderr = &said
		return cmd, &said
	}

	began := filepath.Join(dir, "began")
	compiler("echo $$ >" + began + ".new; mv " + began + ".new " + began + "; exec sleep 60\n")
	cmd, said := build()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	var compilerID []byte
	for compilerID == nil {
		var err error
		if compilerID, err = os.ReadFile(began); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		select {
		case err := <-ended:
			t.Fatalf("it ended before it was stopped: %v: %s", err, said)
		case <-time.After(10 * time.Millisecond):
		}
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
	case <-time.After(40 * time.Second):
		cmd.Process.Kill()
		t.Fatal("it goes on")
	}
	if want := "craton: stopped by a signal: the same command can be run again\n"; cmd.ProcessState.ExitCode() != exitFailed || said.String() != want {
		t.Errorf("it ended with %v and said %q, want code 1 and %q", cmd.ProcessState, said, want)
	}
	if _, err := os.Stat(filepath.Join("/proc", string(bytes.TrimSpace(compilerID)))); err == nil {
		t.Errorf("the compiler, process %s, still runs", compilerID)
	}

	compiler("echo tried again >&2; exit 1\n")
	cmd, said = build()
	timer := time.AfterFunc(40*time.Second, func() { cmd.Process.Signal(syscall.SIGKILL) })
	defer timer.Stop()
	if err := cmd.Run(); cmd.ProcessState.ExitCode() != exitFailed || !bytes.Contains(said.Bytes(), []byte("tried again")) {
		t.Errorf("the same command does not go on: %v: %s", err, said)
	}
}
