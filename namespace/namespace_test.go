package namespace

import (
	"errors"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// What enters a namespace must not do so on the first thread: the process's own view of its
// network would stay there. Many at once, so that the scheduler comes by that thread.
func TestOnThread(t *testing.T) {
	var all sync.WaitGroup
	for range 2000 {
		all.Go(func() {
			if err := OnThread(func() error {
				if unix.Gettid() == unix.Getpid() {
					return errors.New("it runs on the first thread")
				}
				return nil
			}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}
