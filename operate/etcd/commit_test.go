package etcd

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestRealCommitLog protects what was acknowledged last: of a follower that lost the others at
// any moment nothing is missing, although it was not told that it was committed.
func TestRealCommitLog(t *testing.T) {
	l := newLab(t)
	m1, m2 := l.machine("m1"), l.machine("m2")
	m1.first(m2)
	l.want(m1, m2)
	l.keep(m1)
	m2.up(m1)
	l.settled(m1, m2)
	c := l.client(m1)
	const writes = 100
	for i := range writes {
		l.put(c, fmt.Sprintf("key-%03d", i))
	}
	// The other one first: what it has is what has to be enough.
	m2.kill()
	m1.kill()
	dir := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(dir, os.DirFS(m2.data().dir)); err != nil {
		t.Fatal(err)
	}
	before, ok, err := data{dir}.member()
	if err != nil || !ok {
		t.Fatal(err)
	}
	last, err := CommitLog(dir)
	if err != nil || last < writes {
		t.Fatalf("committed up to entry %d: %v", last, err)
	}
	if again, err := CommitLog(dir); again != last || err != nil {
		t.Errorf("the second time up to %d: %v", again, err)
	}
	if after, _, err := (data{dir}).member(); after != before || err != nil {
		t.Errorf("of %+v before, of %+v now: %v", before, after, err)
	}
	if err := os.RemoveAll(m2.data().dir); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(m2.data().dir, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(m2.dir, "etcd.yaml")
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, append(text, "\nforce-new-cluster: true\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	m2.run()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for i := range writes {
		key := fmt.Sprintf("key-%03d", i)
		l.await("read "+key, func() bool {
			got, err := l.client(m2).Get(ctx, key)
			if err == nil && len(got.Kvs) != 1 {
				t.Fatalf("%s is lost", key)
			}
			return err == nil
		})
	}
}

// TestTail protects the reading of a log's end: cut off at any byte, or with a sector that never got to the
// disk, the log ends before; with any other change it is damaged.
func TestTail(t *testing.T) {
	path := filepath.Join(t.TempDir(), "member", "wal", "0000000000000000-0000000000000000.wal")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(filepath.Dir(filepath.Dir(path)))
	empty := func() []byte { return make([]byte, 4096) }
	add := func(file []byte, s hardState) []byte {
		at, err := readTail(file)
		if err != nil && at.end > 0 {
			t.Fatal(err)
		}
		at.state = s
		if err := appendRecord(path, file, at); err != nil {
			t.Fatal(err)
		}
		file, err = os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return file
	}
	one := add(empty(), hardState{3, 7, 5})
	first, err := readTail(one)
	if err != nil || first.state != (hardState{3, 7, 5}) || len(one) != 4096 {
		t.Fatalf("%+v %v, %d bytes", first, err, len(one))
	}
	two := add(one, hardState{4, 8, 900})
	second, err := readTail(two)
	if err != nil || second.state != (hardState{4, 8, 900}) || second.end <= first.end {
		t.Fatalf("%+v %v", second, err)
	}
	for n := first.end; n < second.end; n++ {
		if got, err := readTail(two[:n]); err != nil || got.end != first.end || got.state != first.state {
			t.Errorf("cut off at %d of %d: %+v %v", n, second.end, got, err)
		}
	}
	zeros := bytes.Clone(two)
	clear(zeros[first.end+frame : second.end])
	if got, err := readTail(zeros); err != nil || got.end != first.end {
		t.Errorf("only its length got to the disk: %+v %v", got, err)
	}
	altered := bytes.Clone(two)
	altered[len(bytes.TrimRight(altered, "\x00"))-1] ^= 1
	if _, err := readTail(altered); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("damaged at byte %d", first.end)) {
		t.Errorf("altered: %v", err)
	}
	if err := os.WriteFile(path, altered, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := CommitLog(dir); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("altered: %v", err)
	}
	for _, none := range [][]byte{nil, empty()} {
		if err := os.WriteFile(path, none, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := CommitLog(dir); err == nil {
			t.Errorf("%d zeros are a log", len(none))
		}
	}
	if _, err := CommitLog(t.TempDir()); err == nil || !strings.Contains(err.Error(), "no log") {
		t.Errorf("an empty folder: %v", err)
	}
}
