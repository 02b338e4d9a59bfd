package etcd

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// first starts a cluster of one machine.
func (m *machine) first(others ...*machine) Result {
	m.lab.t.Helper()
	o := m.options(others...)
	o.First = true
	r := m.join(o)
	m.run()
	return r
}

// TestRealGrowAndShrink protects the way 1→3→5→3→1 on the real etcd, with data that stay
// all the way, also where the leader is the one to go.
func TestRealGrowAndShrink(t *testing.T) {
	l := newLab(t)
	var all []*machine
	for _, name := range names[:5] {
		all = append(all, l.machine(name))
	}
	if r := all[0].first(); r.How != Alone {
		t.Fatalf("the first machine: %+v", r)
	}
	l.keep(all...)
	l.settled(all[0])
	c := l.client(all...)
	l.put(c, "one")

	l.want(all[:3]...)
	l.upAll(all[1:3], all[:3])
	l.settled(all[:3]...)
	l.put(c, "three")
	l.want(all...)
	l.upAll(all[3:], all)
	l.settled(all...)
	l.put(c, "five")
	// The first two go: one of them was the first leader.
	l.settled(all[2:]...)
	l.put(c, "three again")
	last := all[4]
	l.settled(last)
	l.has(l.client(last), "one", "three", "five", "three again")
}

// trio is a cluster of three machines.
func (l *lab) trio() []*machine {
	l.t.Helper()
	all := []*machine{l.machine("m1"), l.machine("m2"), l.machine("m3")}
	all[0].first(all...)
	l.want(all...)
	l.keep(all...)
	all[1].up(all...)
	all[2].up(all...)
	l.settled(all...)
	return all
}

// TestRealRepair protects the repairs: a machine with a lost disk joins anew and the data
// come back to it; a power loss of all brings the same members back; what was removed while
// it was off is moved aside, not deleted; without a quorum nothing changes.
func TestRealRepair(t *testing.T) {
	l := newLab(t)
	all := l.trio()
	c := l.client(all...)
	l.put(c, "before")
	id := func(m *machine) uint64 {
		t.Helper()
		got, ok, err := m.data().member()
		if err != nil || !ok {
			t.Fatalf("%s: the data's member: %v %v", m.name, ok, err)
		}
		return got.Member
	}

	t.Log("a machine with an empty disk")
	old := id(all[2])
	all[2].kill()
	if err := os.RemoveAll(filepath.Join(all[2].dir, "etcd")); err != nil {
		t.Fatal(err)
	}
	if r := all[2].up(all...); r.How != Joined || r.Member == old {
		t.Fatalf("with an empty disk: %+v, its old member was %x", r, old)
	}
	l.settled(all...)
	l.put(c, "after the empty disk")

	t.Log("all off, all on")
	before := []uint64{id(all[0]), id(all[1]), id(all[2])}
	for _, m := range all {
		m.kill()
	}
	for i, m := range all {
		o := m.options(all...)
		o.First = i == 0 // what a machine was told once must do no harm later
		if r := m.join(o); r.How != Stayed || r.Member != before[i] {
			t.Errorf("%s after the power came back: %+v, want %x to stay", m.name, r, before[i])
		}
		m.run()
	}
	l.settled(all...)

	t.Log("removed while it was off")
	all[1].kill()
	l.await("it is removed", func() bool { // it may have been the leader
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, err := c.MemberRemove(ctx, before[1])
		return err == nil || errors.Is(err, rpctypes.ErrMemberNotFound)
	})
	r := all[1].up(all...)
	if r.How != Joined || !strings.HasPrefix(r.Moved, all[1].data().dir+".removed-") {
		t.Errorf("removed while it was off: %+v", r)
	}
	if moved, ok, err := (data{r.Moved}).member(); err != nil || !ok || moved.Member != before[1] {
		t.Errorf("%s: %+v %v %v, want the data of %x", r.Moved, moved, ok, err, before[1])
	}
	l.settled(all...)

	t.Log("without a quorum")
	all[1].kill()
	all[2].kill()
	l.want(all[0])
	l.await("the keeper says why it does nothing", func() bool {
		s := l.status()
		return s.Problem != "" || strings.Contains(s.Refusal, "quorum is 2")
	})
	if err := os.RemoveAll(filepath.Join(all[2].dir, "etcd")); err != nil {
		t.Fatal(err)
	}
	o := all[2].options(all...)
	o.First = true // even so
	// Which of the two it is depends on whether the member that runs answers at all.
	waits := func(why string) bool {
		return strings.Contains(why, "there is a cluster") || strings.Contains(why, "so nothing can change")
	}
	if r, err := tryJoin(t, o); err == nil || !waits(err.Error()) {
		t.Errorf("without a quorum, with an empty disk: %+v %v, want that it waits", r, err)
	}
	all[1].up(all...)
	l.settled(all[0])
	l.has(l.client(all[0]), "before", "after the empty disk")
}

// TestRealKilledJoin protects that a Join that was killed goes on where it was: added, but
// not started; added by an answer that was lost; started for a moment only.
func TestRealKilledJoin(t *testing.T) {
	l := newLab(t)
	m1, m2 := l.machine("m1"), l.machine("m2")
	m1.first(m2)
	c := l.client(m1)
	l.put(c, "here")

	first := m2.join(m2.options(m1))
	again := m2.join(m2.options(m1))
	if first.Member != again.Member || again.How != Joined {
		t.Errorf("added, not started, again: %+v then %+v, want the same member", first, again)
	}
	if n := len(memberList(t, c)); n != 2 {
		t.Errorf("%d members, want 2", n)
	}

	t.Log("the configuration was not written")
	if err := os.Remove(filepath.Join(m2.dir, "etcd.yaml")); err != nil {
		t.Fatal(err)
	}
	if r := m2.join(m2.options(m1)); r.Member != first.Member {
		t.Errorf("%+v, want member %x", r, first.Member)
	}

	t.Log("another disk: a member that might have run is not used again")
	if err := os.RemoveAll(filepath.Join(m2.dir, "etcd")); err != nil {
		t.Fatal(err)
	}
	second := m2.join(m2.options(m1))
	if second.Member == first.Member {
		t.Errorf("%+v: a member of a disk that is gone is used again", second)
	}

	t.Log("an unfinished start left a database and no log")
	snap := filepath.Join(m2.data().memberDir(), "snap")
	if err := os.MkdirAll(snap, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(snap, "db"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := m2.join(m2.options(m1)); r.Member != second.Member {
		t.Errorf("%+v, want member %x", r, second.Member)
	}
	if left, _ := filepath.Glob(m2.data().dir + ".unfinished-*/snap/db"); len(left) != 1 {
		t.Errorf("what the start left is not moved aside: %q", left)
	}

	t.Log("killed at any moment of its start")
	for i := range 10 {
		r := m2.up(m1)
		if r.Member != second.Member {
			t.Fatalf("%+v, want member %x", r, second.Member)
		}
		time.Sleep(time.Duration(i*i*4) * time.Millisecond)
		m2.kill()
	}
	m2.up(m1)
	l.want(m1, m2)
	l.keep(m1)
	l.settled(m1, m2)
	l.has(l.client(m2), "here")
}

// TestRealKilledFirstStart protects that the first start, too, can be killed anywhere: it is
// one cluster in the end, and never two.
func TestRealKilledFirstStart(t *testing.T) {
	l := newLab(t)
	m := l.machine("m1")
	acknowledged, again := false, 0
	for i := range 16 {
		m.kill()
		r := m.first()
		if acknowledged && r.How != Stayed {
			t.Fatalf("%+v, though something was written", r)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i*i*6)*time.Millisecond)
		c := l.client(m)
		for ctx.Err() == nil && !acknowledged {
			_, err := c.Put(ctx, "early", "early")
			acknowledged = err == nil
		}
		cancel()
		if acknowledged {
			if again++; again > 2 {
				break
			}
		}
	}
	l.await("an answer", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := l.client(m).Put(ctx, "here", "here")
		return err == nil
	})
	if acknowledged {
		l.has(l.client(m), "early")
	}
	m.kill()

	t.Log("its data are lost: it starts no second cluster")
	if err := os.RemoveAll(m.data().dir); err != nil {
		t.Fatal(err)
	}
	o := m.options()
	o.First = true
	if r, err := Join(t.Context(), o); err == nil || !strings.Contains(err.Error(), "starts no second one") {
		t.Errorf("%+v %v, want a refusal", r, err)
	}
}

func memberList(t *testing.T, c *clientv3.Client) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	list, err := c.MemberList(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, m := range list.Members {
		out = append(out, m.Name)
	}
	return out
}
