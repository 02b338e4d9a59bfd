// Package namespace runs functions in a network namespace that is not the program's. It makes
// no namespace, and puts nothing into one.
package namespace

import (
	"runtime"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Do runs f on a thread that has entered the namespace. What f opens there stays there; f must
// not start goroutines that need to be there too.
func Do(ns netns.NsHandle, f func() error) error {
	return OnThread(func() error {
		if err := netns.Set(ns); err != nil {
			return err
		}
		return f()
	})
}

// In is Do for a namespace by its name, as `ip netns` lists them.
func In(name string, f func() error) error {
	ns, err := netns.GetFromName(name)
	if err != nil {
		return err
	}
	defer ns.Close()
	return Do(ns, f)
}

// OnThread runs f on a thread of its own, which ends with it: whatever namespaces f
// enters, no other goroutine ever runs there. It is never the process's first thread, which
// cannot end, and whose namespaces the kernel shows as the process's (/proc/self).
func OnThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			err := OnThread(f) // elsewhere, as this one is taken
			runtime.UnlockOSThread()
			done <- err
			return
		}
		done <- f() // never unlocked, so the runtime ends the thread
	}()
	return <-done
}
