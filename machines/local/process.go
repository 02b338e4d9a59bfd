package local

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/moby/sys/atomicwriter"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"craton.dev/craton/namespace"
)

// process is something that runs in the background and outlives the craton that started
// it. It is known by a file with its process id and start time, so that an id that the
// kernel gave to somebody else later is never taken for it.
type process struct {
	name string
	file string // pid file
	log  string
}

const processMachine = "machine-"

func (p *Platform) process(name string) process {
	return process{name: name, file: p.path("run", name+".pid"), log: p.path("log", name+".log")}
}

// start runs argv in the background, in the network namespace of that place ("" is the
// host's), and records it. prepare may change how it is started.
func (p *Platform) start(name, place string, argv []string, prepare func(*exec.Cmd)) error {
	proc := p.process(name)
	for _, f := range []string{proc.file, proc.log} {
		if err := os.MkdirAll(filepath.Dir(f), 0o700); err != nil {
			return err
		}
	}
	log, err := os.OpenFile(proc.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if prepare != nil {
		prepare(cmd)
	}
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = append(cmd.Env, proc.mark())
	begin := cmd.Start
	if place != "" {
		ns, err := netns.GetFromName(p.namespace(place))
		if err != nil {
			return fmt.Errorf("network namespace %s: %w", p.namespace(place), err)
		}
		defer ns.Close()
		begin = func() error { return namespace.Do(ns, cmd.Start) }
	}
	if err := begin(); err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	pid := cmd.Process.Pid
	go cmd.Wait() // so that it does not stay a zombie while this craton runs
	born, err := startTime(pid)
	if err != nil {
		return fmt.Errorf("%s ended at once: %s; its log is %s", name, lastLine(proc.log), proc.log)
	}
	return writeFile(proc.file, []byte(fmt.Sprintf("%d %d\n", pid, born)), 0o600)
}

// pid is the process's id, or 0 where it does not run.
func (pr process) pid() int {
	b, err := os.ReadFile(pr.file)
	if err != nil {
		return 0
	}
	var pid int
	var born uint64
	if _, err := fmt.Sscan(string(b), &pid, &born); err != nil {
		return 0
	}
	if now, err := startTime(pid); err != nil || now != born {
		return 0
	}
	return pid
}

func (pr process) alive() bool { return pr.pid() != 0 }

// stop ends the process and its children: politely, and after grace with SIGKILL.
func (pr process) stop(grace time.Duration) error {
	pid := pr.pid()
	if pid != 0 && grace > 0 {
		unix.Kill(pid, unix.SIGTERM)
		for end := time.Now().Add(grace); time.Now().Before(end) && pr.alive(); {
			time.Sleep(20 * time.Millisecond)
		}
	}
	if pid = pr.pid(); pid != 0 {
		unix.Kill(-pid, unix.SIGKILL) // its group: it was started as a session leader
		unix.Kill(pid, unix.SIGKILL)
		for end := time.Now().Add(10 * time.Second); pr.alive(); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				return fmt.Errorf("process %d (%s) does not end after SIGKILL", pid, pr.name)
			}
		}
	}
	if err := pr.endStrays(); err != nil {
		return err
	}
	if err := os.Remove(pr.file); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// mark is in the environment of the process. By it one is found that runs without a pid
// file: the craton that started it was killed before it could write one.
func (pr process) mark() string { return "CRATON_PROCESS=" + pr.file }

// endStrays ends the processes with the mark.
func (pr process) endStrays() error {
	mark := append([]byte{0}, pr.mark()+"\x00"...)
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		found := 0
		files, _ := filepath.Glob("/proc/[0-9]*/environ")
		for _, f := range files {
			// A process that is gone, or a zombie, has no environment.
			if env, err := os.ReadFile(f); err != nil || !bytes.Contains(append([]byte{0}, env...), mark) {
				continue
			}
			if pid, err := strconv.Atoi(strings.Split(f, "/")[2]); err == nil {
				found = pid
				unix.Kill(pid, unix.SIGKILL)
			}
		}
		if found == 0 {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("process %d (%s) does not end after SIGKILL", found, pr.name)
		}
	}
}

// startTime is when a process began, in the kernel's ticks since boot. A zombie has none;
// but a process whose other thread is just becoming another program looks like one for a
// moment, so it is looked at again.
func startTime(pid int) (born uint64, err error) {
	for range 4 {
		if born, err = readStartTime(pid); !errors.Is(err, os.ErrProcessDone) && !errors.Is(err, unix.ESRCH) {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	return born, err
}

func readStartTime(pid int) (uint64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The command's name may hold anything, so fields are counted from its last ")".
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(fields) < 20 {
		return 0, os.ErrProcessDone
	}
	if fields[0] == "Z" {
		// Its first thread has ended; it is about to run another program while one of the
		// others lives, for as long as that takes on a busy host.
		if threads, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid)); len(threads) < 2 {
			return 0, os.ErrProcessDone
		}
	}
	return strconv.ParseUint(fields[19], 10, 64)
}

// children are the ids of a process's direct children.
func children(pid int) []int {
	var ids []int
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, t := range tasks {
		b, _ := os.ReadFile(t)
		for _, f := range strings.Fields(string(b)) {
			if id, err := strconv.Atoi(f); err == nil {
				ids = append(ids, id)
			}
		}
	}
	return ids
}

// writeFile replaces a file at once or not at all.
func writeFile(path string, data []byte, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if err := atomicwriter.WriteFile(path, data, mode); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// tailFile is the end of a text file, at most n bytes of it, from the start of a line.
func tailFile(path string, n int64) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	if st, err := f.Stat(); err == nil && st.Size() > n {
		f.Seek(st.Size()-n, io.SeekStart)
	}
	b, _ := io.ReadAll(f)
	text := strings.TrimSpace(string(b))
	if i := strings.IndexByte(text, '\n'); i >= 0 && int64(len(b)) == n {
		text = text[i+1:]
	}
	return text
}

// lastLine is the last line of a text file, for a sentence that says why its writer ended.
func lastLine(path string) string {
	text := tailFile(path, 2000)
	if text = text[strings.LastIndexByte(text, '\n')+1:]; text == "" {
		return "it said nothing"
	}
	return fmt.Sprintf("%.300s", text)
}
