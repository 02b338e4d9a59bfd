package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// progress tells a person what long work does: one line that changes on a terminal, a
// line for each thing that happens elsewhere.
type progress struct {
	w        io.Writer
	began    time.Time
	terminal bool
	width    int
}

func newProgress(w io.Writer) *progress {
	p := &progress{w: w, began: time.Now()}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb" {
		p.terminal = true
		if width, _, err := term.GetSize(int(f.Fd())); err == nil {
			p.width = width
		}
	}
	return p
}

// say shows one sentence, with the seconds since the work began.
func (p *progress) say(sentence string) {
	line := fmt.Sprintf("%6.1fs  %s", time.Since(p.began).Seconds(), strings.ReplaceAll(sentence, "\n", " "))
	if !p.terminal {
		fmt.Fprintln(p.w, line)
		return
	}
	if r := []rune(line); p.width > 1 && len(r) >= p.width {
		line = string(r[:p.width-2]) + "…"
	}
	fmt.Fprintf(p.w, "\r\x1b[K%s", line)
}

// end leaves the terminal's line empty.
func (p *progress) end() {
	if p.terminal {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
