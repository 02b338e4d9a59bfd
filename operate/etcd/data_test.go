package etcd

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// record writes one of a write-ahead log, in the way that etcd's encoder does: padded to
// eight bytes, with the padding's length in the top byte.
func record(kind uint64, body []byte) []byte {
	message := protowire.AppendTag(nil, 1, protowire.VarintType)
	message = protowire.AppendVarint(message, kind)
	message = protowire.AppendTag(message, 2, protowire.VarintType)
	message = protowire.AppendVarint(message, 0xfeedbeef)
	if body != nil {
		message = protowire.AppendTag(message, 3, protowire.BytesType)
		message = protowire.AppendBytes(message, body)
	}
	length, padding := uint64(len(message)), (8-uint64(len(message))%8)%8
	if padding > 0 {
		length |= (0x80 | padding) << 56
	}
	out := binary.LittleEndian.AppendUint64(nil, length)
	return append(append(out, message...), make([]byte, padding)...)
}

func pair(fields ...uint64) []byte {
	var out []byte
	for i, v := range fields {
		out = protowire.AppendTag(out, protowire.Number(i+1), protowire.VarintType)
		out = protowire.AppendVarint(out, v)
	}
	return out
}

const kindCRC, kindEntry = 4, 2

// logOf writes a data directory whose log has these records, and zeros behind them.
func logOf(t testing.TB, records ...[]byte) data {
	t.Helper()
	d := data{filepath.Join(t.TempDir(), "etcd", "data")}
	if err := os.MkdirAll(d.walDir(), 0o700); err != nil {
		t.Fatal(err)
	}
	text := append(bytes.Join(records, nil), make([]byte, 4096)...)
	if err := os.WriteFile(filepath.Join(d.walDir(), "0000000000000000-0000000000000000.wal"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	return d
}

var (
	crcRecord  = record(kindCRC, nil)
	ourRecord  = record(recordIdentity, pair(0xabc, 0xdef))
	anEntry    = record(kindEntry, []byte("something longer than eight bytes"))
	noCommit   = record(recordState, pair(1, 0xabc, 0))
	withCommit = record(recordState, pair(1, 0xabc, 7))
)

// TestLog protects what is read out of a member's log: whose it is, and whether anything
// was ever committed.
func TestLog(t *testing.T) {
	for _, test := range []struct {
		name      string
		records   [][]byte
		committed bool
		fails     string
	}{
		{"whole", [][]byte{crcRecord, ourRecord, noCommit, anEntry, withCommit}, true, ""},
		{"only started", [][]byte{crcRecord, ourRecord}, false, ""},
		{"entries, nothing committed", [][]byte{crcRecord, ourRecord, anEntry, noCommit}, false, ""},
		{"empty", nil, false, "no identity"},
		{"no identity", [][]byte{crcRecord, withCommit}, true, "no identity"},
		{"another program's", [][]byte{[]byte("some text that is no log at all, and long enough")}, false, "move "},
		{"cut off", [][]byte{crcRecord[:4]}, false, ""},
	} {
		d := logOf(t, test.records...)
		id, ok, err := d.member()
		if test.name == "cut off" {
			continue // only that nothing panics
		}
		if test.fails != "" {
			if err == nil || !strings.Contains(err.Error(), test.fails) || !strings.Contains(err.Error(), d.walDir()) {
				t.Errorf("%s: %v, want an error with %q and the file", test.name, err, test.fails)
			}
			continue
		}
		if err != nil || !ok || id != (identity{Cluster: 0xdef, Member: 0xabc}) {
			t.Errorf("%s: %+v %v %v", test.name, id, ok, err)
		}
		if got, err := d.committed(); got != test.committed || err != nil {
			t.Errorf("%s: committed %v %v, want %v", test.name, got, err, test.committed)
		}
	}
	if _, ok, err := (data{filepath.Join(t.TempDir(), "none")}).member(); ok || err != nil {
		t.Errorf("a directory that is not there: %v %v, want no member", ok, err)
	}
}

// FuzzLog protects from panics on whatever a disk gives back.
func FuzzLog(f *testing.F) {
	f.Add(bytes.Join([][]byte{crcRecord, ourRecord, anEntry, withCommit}, nil))
	f.Add(crcRecord[:5])
	path := filepath.Join(f.TempDir(), "log")
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		read := 0
		_ = readLog(path, func(uint64, []byte) (bool, error) { read++; return true, nil })
		if read > len(text)/8 {
			t.Errorf("%d records in %d bytes", read, len(text))
		}
	})
}

// TestMoveAside protects that data are never overwritten, not even by two moves within one
// second, and that the note outlives what an unfinished start left.
func TestMoveAside(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	d := logOf(t, crcRecord, ourRecord)
	first, err := d.moveAside("removed", now)
	if err != nil || filepath.Base(first) != "data.removed-20260102-030405" {
		t.Fatalf("%s %v", first, err)
	}
	if err := d.prepare(toJoin); err != nil {
		t.Fatal(err)
	}
	second, err := d.moveAside("removed", now)
	if err != nil || second == first {
		t.Fatalf("%s %v", second, err)
	}
	if _, ok, err := (data{first}).member(); !ok || err != nil {
		t.Errorf("the first data are gone: %v", err)
	}
	if err := d.prepare(toJoin); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := os.MkdirAll(filepath.Join(d.memberDir(), "snap"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := d.clear(now); err != nil {
			t.Fatal(err)
		}
	}
	if what, err := d.prepared(); what != toJoin || err != nil {
		t.Errorf("the note: %q %v", what, err)
	}
	if moved, _ := filepath.Glob(d.dir + ".unfinished-*/snap"); len(moved) != 2 {
		t.Errorf("moved aside: %q, want two", moved)
	}
	if err := d.clear(now); err != nil {
		t.Error(err)
	}
	if moved, _ := filepath.Glob(d.dir + ".unfinished-*"); len(moved) != 2 {
		t.Errorf("where nothing is left over, nothing is moved: %q", moved)
	}
}
