package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/vishvananda/netns"
	"golang.org/x/sync/errgroup"

	"craton.dev/craton/namespace"
)

// How long traffic runs for one sample, and how much of it before counting.
const (
	trafficWarm = 300 * time.Millisecond
	trafficTime = 1500 * time.Millisecond
	// callers is how many connect at the same time: enough to keep a few processors busy.
	callers = 4
)

// listen opens a TCP socket in a namespace; it then works from any thread.
func listen(ns netns.NsHandle, at netip.AddrPort) (net.Listener, error) {
	var l net.Listener
	err := namespace.Do(ns, func() (err error) {
		l, err = net.Listen("tcp4", at.String())
		return err
	})
	return l, err
}

// throughput is the bytes a second of one TCP connection from a namespace to an address
// in another.
func throughput(ctx context.Context, from, to netns.NsHandle, at netip.AddrPort) (float64, error) {
	l, err := listen(to, at)
	if err != nil {
		return 0, err
	}
	defer l.Close()
	var sender net.Conn
	if err := namespace.Do(from, func() (err error) {
		sender, err = net.DialTimeout("tcp4", at.String(), 3*time.Second)
		return err
	}); err != nil {
		return 0, err
	}
	defer sender.Close()
	receiver, err := l.Accept()
	if err != nil {
		return 0, err
	}
	defer receiver.Close()
	end := time.Now().Add(trafficWarm + trafficTime)
	deadline := end.Add(time.Second)
	if err := errors.Join(sender.SetDeadline(deadline), receiver.SetDeadline(deadline)); err != nil {
		return 0, err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer sender.Close()
		block := make([]byte, 256<<10)
		for time.Now().Before(end) && ctx.Err() == nil {
			if _, err := sender.Write(block); err != nil {
				return fmt.Errorf("send: %w", err)
			}
		}
		return ctx.Err()
	})
	var rate float64
	group.Go(func() error {
		block := make([]byte, 256<<10)
		begin := time.Now().Add(trafficWarm)
		var first, last time.Time
		bytes := 0
		for {
			n, err := receiver.Read(block)
			now := time.Now()
			if now.After(begin) {
				if first.IsZero() {
					first, n = now, 0
				}
				bytes += n
				last = now
			}
			if err == io.EOF {
				break
			}
			if err != nil {
				return fmt.Errorf("receive: %w", err)
			}
		}
		if last.Sub(first) < trafficTime/2 {
			return fmt.Errorf("received for %s where %s were expected", last.Sub(first), trafficTime)
		}
		rate = float64(bytes) / last.Sub(first).Seconds()
		return nil
	})
	err = group.Wait()
	return rate, err
}

// connections is how many connections a second can be made from a namespace to an address
// in another, each closed at once. One that fails is an error.
func connections(ctx context.Context, from, to netns.NsHandle, at netip.AddrPort) (float64, error) {
	l, err := listen(to, at)
	if err != nil {
		return 0, err
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return // closed
			}
			c.Close()
		}
	}()
	var mu sync.Mutex
	total := 0
	began := time.Now()
	end := began.Add(trafficTime)
	group, ctx := errgroup.WithContext(ctx)
	for range callers {
		group.Go(func() error {
			n := 0
			err := namespace.Do(from, func() error {
				for ; time.Now().Before(end) && ctx.Err() == nil; n++ {
					c, err := net.DialTimeout("tcp4", at.String(), 3*time.Second)
					if err != nil {
						return err
					}
					// An end by RST leaves no port waiting: they would run out.
					if err := errors.Join(c.(*net.TCPConn).SetLinger(0), c.Close()); err != nil {
						return err
					}
				}
				return ctx.Err()
			})
			mu.Lock()
			total += n
			mu.Unlock()
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return 0, err
	}
	return float64(total) / time.Since(began).Seconds(), nil
}
