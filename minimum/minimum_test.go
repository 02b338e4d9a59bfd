package minimum

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"craton.dev/craton/cluster"
	"craton.dev/craton/contract"
	"craton.dev/craton/plan"
)

// needs is a cluster's Try whose workers need so much memory.
func needs(memory int, tries *int) Try {
	return func(_ context.Context, f *cluster.Cluster) (time.Duration, time.Duration, string, error) {
		*tries++
		for _, s := range f.Sizes {
			if s.Role == "worker" && s.MemoryMiB > 0 && s.MemoryMiB < memory {
				return time.Second, 0, "the kernel ended kubelet", nil
			}
			if s.DiskMiB == 0 {
				return 0, 0, "", errors.New("a machine shares its pages with others")
			}
		}
		return time.Second, time.Minute, "", nil
	}
}

// Only one resource of one role may be scarce, or the figure is of something else; and what is found is
// the least that works, with what happens below.
func TestRun(t *testing.T) {
	results := filepath.Join(t.TempDir(), "results.json")
	tries := 0
	opt := Options{File: cluster.Default("demo"), Resources: []Resource{Memory}, Roles: []contract.Role{contract.Worker}, Try: needs(300, &tries), Results: results}
	r, err := Run(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	want := []Least{{contract.Worker, Memory, 320, "256: the kernel ended kubelet"}}
	if !slices.Equal(r.Least, want) {
		t.Errorf("%+v, want %+v", r.Least, want)
	}
	before := tries
	if _, err := Run(t.Context(), opt); err != nil || tries != before {
		t.Errorf("a measurement that is done is made again: %d tries, %v", tries-before, err)
	}
	opt.File = cluster.Default("demo")
	opt.File.Profile = "minimal"
	if _, err := Run(t.Context(), opt); err != nil || tries == before {
		t.Errorf("another cluster's results are taken for its own: %v", err)
	}
}

// A trial is minutes: one that was stopped anywhere goes on where it was, with the same outcome.
func TestRunGoesOn(t *testing.T) {
	results := filepath.Join(t.TempDir(), "results.json")
	tries, killed := 0, errors.New("killed")
	all := needs(700, &tries)
	opt := Options{File: cluster.Default("demo"), Resources: []Resource{Memory}, Results: results}
	for i := 0; ; i++ {
		left := 1
		opt.Try = func(ctx context.Context, f *cluster.Cluster) (time.Duration, time.Duration, string, error) {
			if left--; left < 0 {
				return 0, 0, "", killed
			}
			return all(ctx, f)
		}
		r, err := Run(t.Context(), opt)
		if err == nil {
			if want := []Least{{contract.Worker, Memory, 704, "640: the kernel ended kubelet"}, {contract.Master, Memory, 64, ""}}; !slices.Equal(r.Least, want) {
				t.Errorf("%+v", r.Least)
			}
			if tries != len(r.Trials) {
				t.Errorf("%d tries for %d trials", tries, len(r.Trials))
			}
			return
		}
		if !errors.Is(err, killed) || i > 50 {
			t.Fatal(err)
		}
	}
}

// Where not everything works with all of the host, a failure with less says nothing.
func TestRunNeedsAReference(t *testing.T) {
	opt := Options{File: cluster.Default("demo"), Results: filepath.Join(t.TempDir(), "r.json"),
		Try: func(context.Context, *cluster.Cluster) (time.Duration, time.Duration, string, error) {
			return 0, 0, "no DNS", nil
		}}
	if _, err := Run(t.Context(), opt); !errors.Is(err, ErrReference) || !strings.Contains(err.Error(), "no DNS") {
		t.Errorf("%v", err)
	}
	if err := os.WriteFile(opt.Results, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Run(t.Context(), opt); err == nil || !strings.Contains(err.Error(), opt.Results) {
		t.Errorf("%v", err)
	}
}

func TestRunEndsInTime(t *testing.T) {
	tries := 0
	opt := Options{File: cluster.Default("demo"), Results: filepath.Join(t.TempDir(), "r.json"), Try: needs(1, &tries), For: time.Nanosecond}
	if _, err := Run(t.Context(), opt); !errors.Is(err, ErrTime) || tries != 0 {
		t.Errorf("%v after %d tries", err, tries)
	}
}

// Who plans a cluster with less than was seen to be enough is told; who leaves sizes out, or has more, is not.
func TestBelow(t *testing.T) {
	all := []*Results{
		{Shape: "1+1", Trials: []Trial{
			{Role: contract.Worker, Resource: Memory, Value: 320, OK: true},
			{Role: contract.Worker, Resource: Memory, Value: 256, Failure: "the kernel ended kubelet"},
			{Role: contract.Worker, Resource: Memory, Value: 512, Failure: "bad luck"},
		}},
		{Shape: "3+2", Trials: []Trial{{Role: contract.Worker, Resource: Memory, Value: 384, Failure: "more of them"}}},
	}
	for _, test := range []struct {
		size  cluster.Size
		words string
	}{
		{cluster.Size{Role: "worker", MemoryMiB: 256, DiskMiB: 1024}, "of 256 MiB is not enough. In a cluster of 1+1, with 256: the kernel ended kubelet"},
		{cluster.Size{Role: "worker", MemoryMiB: 257}, ""}, // nobody has tried it
		{cluster.Size{Role: "worker"}, ""},
		{cluster.Size{Role: "master", MemoryMiB: 64}, ""}, // nothing was found about it
		{cluster.Size{Role: "infra", MemoryMiB: 64}, ""},
	} {
		file := cluster.Default("demo")
		file.Sizes = []cluster.Size{test.size}
		p, err := plan.Make(file)
		if err != nil {
			t.Fatal(err)
		}
		got := strings.Join(below(p, all), "\n")
		if (got == "") != (test.words == "") || !strings.Contains(got, test.words) {
			t.Errorf("%+v: %q", test.size, got)
		}
	}
}

// What was measured with this version of craton can be read, and is of its own shapes.
func TestMeasured(t *testing.T) {
	all, err := Measured()
	if err != nil || len(all) == 0 {
		t.Fatal(all, err)
	}
	var page bytes.Buffer
	if err := errors.Join(WriteMarkdown(&page, all...), WritePeers(&page), WritePorts(&page)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"## 1+1, profile minimal", "OpenShift", "| worker | ingress | "} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("%q is missing in\n%s", want, page.String())
		}
	}
}

// A search that was stopped says what it has shown, and nothing more.
func TestStopped(t *testing.T) {
	r := &Results{
		Least: []Least{{contract.Worker, Disk, 1024, ""}},
		Trials: []Trial{
			{OK: true},
			{Role: contract.Worker, Resource: Disk, Value: 1024, OK: true},
			{Role: contract.Worker, Resource: Memory, Value: 512, OK: true},
			{Role: contract.Worker, Resource: Memory, Value: 256},
			{Role: contract.Master, Resource: Memory, Value: 512},
		},
	}
	want := []string{
		"The search for the least memory of a worker was stopped: 512 MiB are enough, 256 are not.",
		"The search for the least memory of a master was stopped: 512 are not.",
	}
	if got := r.stopped(); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	// What nothing was tried of is said as well: a page without it reads as if all were known.
	open := []string{"master processor", "master disk", "worker processor", "infra memory", "infra processor", "infra disk"}
	if got := r.missing(); !slices.Equal(got, open) {
		t.Errorf("%q", got)
	}
}
