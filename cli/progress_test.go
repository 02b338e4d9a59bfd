package cli

import (
	"bytes"
	"os"
	"regexp"
	"testing"
	"time"
)

// TestProgress protects what is read of long work: a line for each thing where it goes to a file or a pipe, with
// nothing that only a terminal understands; on a terminal one line that fits, and is gone in the end.
func TestProgress(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	defer write.Close()
	if newProgress(write).terminal || newProgress(&bytes.Buffer{}).terminal {
		t.Error("a pipe and a buffer are no terminals")
	}
	for _, c := range []struct {
		name string
		p    progress
		want string
	}{
		{"no terminal", progress{}, `^ *\d\.\ds  building etcd\n *\d\.\ds  waiting for all: of two\n$`},
		{"a terminal", progress{terminal: true, width: 80}, `^\r\x1b\[K *\d\.\ds  building etcd\r\x1b\[K *\d\.\ds  waiting for all: of two\r\x1b\[K$`},
		{"a narrow one", progress{terminal: true, width: 18}, `^\r\x1b\[K *\d\.\ds  buildin…\r\x1b\[K *\d\.\ds  waiting…\r\x1b\[K$`},
	} {
		var out bytes.Buffer
		c.p.w, c.p.began = &out, time.Now()
		c.p.say("building etcd")
		c.p.say("waiting for all:\nof two")
		c.p.end()
		if !regexp.MustCompile(c.want).MatchString(out.String()) {
			t.Errorf("%s: %q, want %s", c.name, out.String(), c.want)
		}
	}
}
