package etcd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"craton.dev/craton/snapshot"
)

// TestRealSnapshot protects a copy of a real etcd: what was written before is in it, each
// damage to the file is seen, and a member without a quorum gives none. And the alarms that
// the keeper reports, which etcd tells about in two places.
func TestRealSnapshot(t *testing.T) {
	l := newLab(t)
	m := l.machine("m1")
	m.first()
	c := l.client(m)
	for i := range 40 {
		l.put(c, fmt.Sprintf("key-%02d", i%25))
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	last, err := c.Delete(ctx, "key-03")
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	taken, err := Snapshot(ctx, c, &text)
	if err != nil {
		t.Fatal(err)
	}
	id, _, err := m.data().member()
	if err != nil || taken.Cluster != hex(id.Cluster) || taken.Member != hex(id.Member) || taken.Revision != last.Header.Revision ||
		taken.Bytes != int64(text.Len()) || !strings.HasPrefix(taken.Storage, "3.") {
		t.Errorf("taken %+v from %+v (%v)", taken, id, err)
	}
	path := filepath.Join(t.TempDir(), "snapshot.db")
	save := func(b []byte) {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	save(text.Bytes())
	got, err := snapshot.Verify(path)
	want := snapshot.Contents{Revision: last.Header.Revision, Keys: 24, ClusterVersion: got.ClusterVersion, Members: []string{"m1"}, Bytes: taken.Bytes, SHA256: taken.SHA256}
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) || !strings.HasPrefix(got.ClusterVersion, "3.") {
		t.Errorf("verified %+v %v, want %+v", got, err, want)
	}
	for key, want := range map[string]bool{"key-03": false, "key-04": true, "key-0": false} {
		if value, err := snapshot.Value(path, key); err != nil || (len(value) > 0) != want {
			t.Errorf("%s has the value %q (%v), want one: %t", key, value, err, want)
		}
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, text.Bytes()) {
		t.Errorf("Verify changed the file: %v", err)
	}
	whole := text.Bytes()
	for _, at := range []int{0, 100, len(whole) / 2, len(whole) - 40, len(whole) - 1} {
		altered := slices.Clone(whole)
		altered[at] ^= 1
		save(altered)
		if _, err := snapshot.Verify(path); !errors.Is(err, snapshot.ErrAltered) {
			t.Errorf("byte %d altered: %v", at, err)
		}
	}
	for _, n := range []int{0, 31, len(whole) / 2, len(whole) - 32, len(whole) - 1} {
		save(whole[:n])
		if _, err := snapshot.Verify(path); !errors.Is(err, snapshot.ErrTruncated) {
			t.Errorf("%d bytes of it: %v", n, err)
		}
	}
	save(whole[:len(whole)-4096]) // ends like a whole one
	if _, err := snapshot.Verify(path); err == nil {
		t.Error("without its last page: it passes")
	}

	l.want(m)
	l.keep(m)
	l.settled(m)
	if alarms := l.status().Alarms; len(alarms) != 0 {
		t.Errorf("alarms %q", alarms)
	}
	if _, err := pb.NewMaintenanceClient(c.ActiveConnection()).Alarm(ctx, &pb.AlarmRequest{Action: pb.AlarmRequest_ACTIVATE, MemberID: id.Member, Alarm: pb.AlarmType_NOSPACE}); err != nil {
		t.Fatal(err)
	}
	l.await("the alarm", func() bool {
		a := l.status().Alarms
		return len(a) == 1 && strings.HasPrefix(a[0], "NOSPACE on member m1: ")
	})
	m.kill()
	short, stop := context.WithTimeout(t.Context(), 2*time.Second)
	defer stop()
	if _, err := Snapshot(short, c, &text); err == nil || !strings.Contains(err.Error(), m.client) {
		t.Errorf("of an etcd that is not there: %v", err)
	}
}

// TestRealCutOff protects that no snapshot is taken of a member that the others have left
// behind, and that what one member alone knows is told, but nothing is decided by it.
func TestRealCutOff(t *testing.T) {
	l := newLab(t)
	m1, m2 := l.machine("m1"), l.machine("m2")
	m1.first(m2)
	l.want(m1, m2)
	l.keep(m1)
	m2.up(m1)
	l.settled(m1, m2)
	m2.kill()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := Snapshot(ctx, l.client(m1), &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "not in touch with a quorum") {
		t.Errorf("without a quorum: %v", err)
	}
	l.want(m1)
	l.await("the keeper names the machine to start", func() bool {
		return strings.Contains(l.status().Refusal, "1 of 2 voters healthy: quorum is 2, so nothing can change; start machine m2 first") ||
			strings.Contains(l.status().Refusal, "0 of 2 voters healthy")
	})
	if n := len(l.status().Members); n != 2 {
		t.Errorf("%d members in the status, want both", n)
	}
}
