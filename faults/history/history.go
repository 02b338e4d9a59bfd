// Package history is what clients asked of a cluster and what they were told, and whether
// that can be true of one where every acknowledged write stays and every read is of now.
//
// Each key is a register on its own. Values are never written twice, so a read says which
// write it has seen. The package asks nothing of a cluster and knows no protocol: package
// load writes histories.
package history

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"
)

// Kind is what a client asked for.
type Kind string

const (
	// Read asks for the value; it is "" where the key is not there.
	Read Kind = "read"
	// CAS asks to write New if the value is Old.
	CAS Kind = "cas"
	// Put asks to write New whatever the value is.
	Put Kind = "put"
)

// Outcome is what a client knows afterwards.
type Outcome string

const (
	// OK: it was done.
	OK Outcome = "ok"
	// Refused: the value was not Old, so nothing was done.
	Refused Outcome = "refused"
	// Failed: it was surely not done: nobody has received it.
	Failed Outcome = "failed"
	// Unknown: no answer, or one that leaves open whether it was done, or will be.
	Unknown Outcome = "unknown"
)

// Op is one request. Times are since the history's beginning.
type Op struct {
	Client int    `json:"client"`
	Key    string `json:"key"`
	Kind   Kind   `json:"kind"`
	// Old and New are as Kind says.
	Old string `json:"old,omitempty"`
	New string `json:"new,omitempty"`
	// Got is the value that was read. Of a CAS that was refused it is the value instead of
	// Old, where the answer says that ("" where not).
	Got     string        `json:"got,omitempty"`
	Outcome Outcome       `json:"outcome"`
	Call    time.Duration `json:"call"`
	Return  time.Duration `json:"return"`
	// Via is how the client asked, and Error what it was told, for people.
	Via   string `json:"via,omitempty"`
	Error string `json:"error,omitempty"`
}

// Write is a history as lines of JSON.
func Write(w io.Writer, ops []Op) error {
	b := bufio.NewWriter(w)
	e := json.NewEncoder(b)
	for _, op := range ops {
		if err := e.Encode(op); err != nil {
			return err
		}
	}
	return b.Flush()
}

// ReadFile reads what Write wrote. The error names the line.
func ReadFile(path string) ([]Op, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var ops []Op
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		var op Op
		if err := json.Unmarshal(lines.Bytes(), &op); err != nil {
			return nil, fmt.Errorf("%s:%d: %w: expected an operation as a line of JSON", path, n, err)
		}
		ops = append(ops, op)
	}
	return ops, lines.Err()
}
