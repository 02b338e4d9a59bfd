package bootstrap

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"craton.dev/craton/cluster"
	"craton.dev/craton/contract"
	"craton.dev/craton/machines/local"
	"craton.dev/craton/metrics"
	"craton.dev/craton/pki"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/nftables"
)

// TestCountPlanned protects the alert about rules that are not the plan's: what no clause opens
// is dropped rightly and counts nowhere, nor does what was dropped before the plan held or came
// from a machine that it was not of.
func TestCountPlanned(t *testing.T) {
	p, err := plan.Make(cluster.Default("demo"))
	if err != nil {
		t.Fatal(err)
	}
	port := func(id string) uint16 {
		c, ok := contract.ByID(id)
		if !ok {
			t.Fatalf("no clause %s", id)
		}
		return c.Ports[0].First
	}
	since := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var master, worker plan.Machine
	for _, m := range p.Machines {
		if m.Role == contract.Master {
			master = m
		} else {
			worker = m
		}
	}
	kubelet, read := port("worker.ingress.kubelet"), port("master.ingress.kubelet-read-only")
	right := local.Drop{Time: since, Rule: "worker-ingress", Source: master.Address, Destination: worker.Address, Protocol: "tcp", Port: kubelet}
	change := func(f func(*local.Drop)) local.Drop { d := right; f(&d); return d }
	count := map[string]int{}
	countPlanned(count, p, []local.Drop{
		right, right,
		change(func(d *local.Drop) { d.Time = since.Add(-time.Second) }),
		change(func(d *local.Drop) { d.Rule = nftables.Spoofed }),
		change(func(d *local.Drop) { d.Protocol = "other" }),
		change(func(d *local.Drop) { d.Source, d.Destination, d.Port = worker.Address, master.Address, read }),
	}, since)
	// Also those that masters and workers have for everything between them.
	for _, id := range []string{"worker.ingress.kubelet", "master.egress.kubelet"} {
		if count[id] != 2 {
			t.Errorf("%s: %d packets, expected 2: %v", id, count[id], count)
		}
	}
	for id, n := range count {
		if n != 2 {
			t.Errorf("%s: %d packets, expected 2", id, n)
		}
	}
}

// TestCertificateMetrics protects that every certificate of the plan is watched, and none that
// belonged to a machine that is gone.
func TestCertificateMetrics(t *testing.T) {
	p, err := plan.Make(cluster.Default("demo"))
	if err != nil {
		t.Fatal(err)
	}
	c := &Cluster{Name: "demo", Dir: t.TempDir(), Plan: p}
	now := time.Now()
	if _, err := pki.Ensure(c.pkiDir(), p, now); err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(c.pkiDir(), "certificates")
	one, err := os.ReadFile(filepath.Join(folder, p.Identities[0].Name+".pem"))
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, "kube-apiserver-demo-master-9.pem"), one, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, s := range c.certificateMetrics().Samples {
		got[s.Labels["certificate"]] = s.Value
	}
	want := []string{"etcd-ca", "front-proxy-ca", "kubernetes-ca", "registry-ca"}
	for _, id := range p.Identities {
		want = append(want, id.Name)
		if left := time.Unix(int64(got[id.Name]), 0).Sub(now); left < 300*24*time.Hour || left > 400*24*time.Hour {
			t.Errorf("%s ends in %s, expected about a year", id.Name, left)
		}
	}
	slices.Sort(want)
	if names := slices.Sorted(maps.Keys(got)); !slices.Equal(names, want) {
		t.Errorf("watched are %v, expected %v", names, want)
	}
}

// TestBackupMetric protects that a backup is known from when it was taken, and that none is
// made up where there was none.
func TestBackupMetric(t *testing.T) {
	c := &Cluster{Name: "demo", Dir: t.TempDir()}
	write := func() string {
		t.Helper()
		family, err := c.backupMetric()
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		if err := metrics.Write(&b, []metrics.Family{family}); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	if got := write(); got != "" {
		t.Errorf("without a backup: %s", got)
	}
	when := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	if err := c.noteBackup(when); err != nil {
		t.Fatal(err)
	}
	if got := write(); !strings.Contains(got, "\ncraton_backup_timestamp_seconds 1.7723664e+09\n") {
		t.Errorf("after a backup: %s", got)
	}
}
