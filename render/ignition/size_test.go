package ignition_test

import (
	"runtime"
	"syscall"
	"testing"
	"time"

	"craton.dev/craton/render/cloudinit"
	"craton.dev/craton/render/firstboot"
	"craton.dev/craton/render/ignition"
	"craton.dev/craton/render/internal/example"
)

// TestFiveThousand protects what a large cluster costs: all machines' configurations, one
// after the other, in less than 10 seconds and 300 MiB. The seconds are the processor's,
// so that a busy host does not fail it.
func TestFiveThousand(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	p := example.Plan(t, 3, 5000)
	s := example.Secrets(p)
	opt := firstboot.Options{RegistryCA: s.Registry.Cert}
	for name, render := range map[string]func(*firstboot.Config) ([]byte, error){
		"ignition": ignition.Render, "cloud-init": cloudinit.Render,
	} {
		runtime.GC()
		start, size := processor(t), 0
		for _, m := range p.Machines {
			c, err := firstboot.For(p, m.Name, s, opt)
			if err != nil {
				t.Fatal(err)
			}
			out, err := render(c)
			if err != nil {
				t.Fatal(err)
			}
			size += len(out)
		}
		var mem runtime.MemStats
		runtime.ReadMemStats(&mem)
		took := processor(t) - start
		t.Logf("%s: %d machines, %d MiB of text, %s, %d MiB from the system", name, len(p.Machines), size>>20, took.Round(time.Millisecond), mem.Sys>>20)
		if took > 10*time.Second {
			t.Errorf("%s: %s: expected less than 10s", name, took)
		}
		if mem.Sys > 300<<20 {
			t.Errorf("%s: %d MiB: expected less than 300", name, mem.Sys>>20)
		}
	}
}

// processor is the processor's time that this process has taken.
func processor(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
