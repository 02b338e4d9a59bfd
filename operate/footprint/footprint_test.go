package footprint

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestTrim protects that the program works on after it, and that it does what it is for.
func TestTrim(t *testing.T) {
	resident := func() (kib int) {
		status, err := os.ReadFile("/proc/self/status")
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(status)) {
			if value, ok := strings.CutPrefix(line, "RssFile:"); ok {
				if _, err := fmt.Sscan(value, &kib); err != nil {
					t.Fatal(err)
				}
			}
		}
		return kib
	}
	before := resident()
	if err := Trim(Mapping); err != nil {
		t.Fatal(err)
	}
	mapping := resident()
	if mapping >= before {
		t.Errorf("%d KiB of files resident before, %d after", before, mapping)
	}
	if err := Trim(Cache); err != nil {
		t.Fatal(err)
	}
	// What is resident a moment later depends on what the test has used by then, so how far
	// the reach goes is asked of the kernel: a mapping that is read page by page.
	if cache := resident(); cache >= before {
		t.Errorf("%d KiB of files resident before, %d with the cache's pages given back", before, cache)
	}
	if flags := textFlags(t); !strings.Contains(flags, " rr") {
		t.Errorf("the program's text is mapped with%q, want rr (read at random, nothing comes along)", flags)
	}
}

// textFlags returns what the kernel says of the mapping of the program's instructions.
func textFlags(t *testing.T) string {
	t.Helper()
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	smaps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	text := false
	for line := range strings.Lines(string(smaps)) {
		if strings.Contains(line, " r-xp ") {
			text = strings.HasSuffix(strings.TrimSpace(line), exe)
		}
		if flags, ok := strings.CutPrefix(line, "VmFlags:"); ok && text {
			return strings.TrimRight(flags, "\n")
		}
	}
	t.Fatalf("/proc/self/smaps has no text of %s", exe)
	return ""
}

// TestReadOnly protects memory that can be written, or is not of the file: it would be lost.
func TestReadOnly(t *testing.T) {
	for line, want := range map[string]bool{
		"00400000-00401000 r-xp 00000000 08:01 42 /bin/x":           true,
		"00401000-00402000 r--p 00001000 08:01 42 /bin/x":           true,
		"00402000-00403000 rw-p 00002000 08:01 42 /bin/x":           false,
		"00402000-00403000 r--s 00002000 08:01 42 /bin/x":           false,
		"00402000-00403000 ---p 00002000 08:01 42 /bin/x":           false,
		"00400000-00401000 r-xp 00000000 08:01 42 /bin/xy":          false,
		"00400000-00401000 r-xp 00000000 08:01 42 /bin/x (deleted)": false,
		"00401000-00401000 r--p 00001000 08:01 42 /bin/x":           false,
		"7f00-7f01 r--p 00000000 00:00 0":                           false,
		"x-y r--p 00000000 08:01 42 /bin/x":                         false,
		"":                                                          false,
	} {
		if _, _, ok := readOnly(line, "/bin/x"); ok != want {
			t.Errorf("%q: %t", line, ok)
		}
	}
}
