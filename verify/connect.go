package verify

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"craton.dev/craton/contract"
	"craton.dev/craton/machines/local"
	"craton.dev/craton/plan"
)

// trial is a port that was tried with ordinary sockets.
type trial struct {
	src, dst string
	protocol contract.Protocol
	port     uint16
}

// waitForConnection is longer than a kernel waits before it sends a SYN anew (1 s), twice.
const waitForConnection = 3500 * time.Millisecond

// resend is the time after which a UDP packet without an answer is sent again.
const resend = 600 * time.Millisecond

// samples are the ports at both sides of each boundary of the plan's rules, and n others.
func samples(pl *plan.Plan, n int) []uint16 {
	set := map[uint16]bool{}
	for _, r := range pl.Rules {
		for _, x := range r.Ports {
			for _, port := range []int{int(x.First) - 1, int(x.First), int(x.Last), int(x.Last) + 1} {
				if port >= 1 && port <= ports {
					set[uint16(port)] = true
				}
			}
		}
	}
	for want := len(set) + n; len(set) < want; {
		set[uint16(1+rand.IntN(ports))] = true
	}
	var list []uint16
	for port := range set {
		list = append(list, port)
	}
	slices.Sort(list)
	return list
}

// connections tries the sample ports of all pairs: something listens at the destination,
// by itself or for the time of the trial, and the source connects.
func (v *prober) connections(ctx context.Context, pairs []pair) (map[trial]State, error) {
	found := map[trial]State{}
	if v.opt.Random < 0 {
		return found, nil
	}
	n := v.opt.Random
	if n == 0 {
		n = 20
	}
	if v.opt.Progress != nil {
		v.opt.Progress("connecting to the boundaries of each rule and some other ports with ordinary sockets")
	}
	list := samples(v.plan, n)
	sources := map[string][]local.Place{}
	goals := map[string]local.Place{}
	for _, p := range pairs {
		goals[p.dst.Name] = p.dst
		sources[p.dst.Name] = append(sources[p.dst.Name], p.src)
	}
	var wait sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	for name, dst := range goals {
		wait.Go(func() {
			got, err := v.connect(ctx, sources[name], dst, list)
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err)
			for k, s := range got {
				found[k] = s
			}
		})
	}
	wait.Wait()
	return found, errors.Join(errs...)
}

// client is one socket that connects.
type client struct {
	trial
	fd   int
	done bool
}

func (v *prober) connect(ctx context.Context, sources []local.Place, dst local.Place, list []uint16) (map[trial]State, error) {
	var servers []int // of UDP, which have to be answered for
	var open []int
	defer func() {
		for _, fd := range open {
			unix.Close(fd)
		}
	}()
	taken := map[uint16]bool{} // UDP ports of others, who may not answer
	err := v.platform.In(dst.Namespace, func() error {
		for _, port := range list {
			for _, kind := range []int{unix.SOCK_STREAM, unix.SOCK_DGRAM} {
				fd, err := unix.Socket(unix.AF_INET, kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
				if err != nil {
					return err
				}
				open = append(open, fd)
				err = unix.Bind(fd, &unix.SockaddrInet4{Port: int(port), Addr: dst.Address.As4()})
				switch {
				case errors.Is(err, unix.EADDRINUSE):
					taken[port] = taken[port] || kind == unix.SOCK_DGRAM
				case err != nil:
					return fmt.Errorf("listen on %s: %w", netip.AddrPortFrom(dst.Address, port), err)
				case kind == unix.SOCK_DGRAM:
					servers = append(servers, fd)
				default:
					if err := unix.Listen(fd, 64); err != nil && !errors.Is(err, unix.EADDRINUSE) {
						return err
					}
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("in %s: %w", dst.Namespace, err)
	}
	var clients []*client
	for _, src := range sources {
		err := v.platform.In(src.Namespace, func() error {
			for _, port := range list {
				for protocol, kind := range map[contract.Protocol]int{contract.TCP: unix.SOCK_STREAM, contract.UDP: unix.SOCK_DGRAM} {
					if protocol == contract.UDP && taken[port] {
						continue
					}
					fd, err := unix.Socket(unix.AF_INET, kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
					if err != nil {
						return err
					}
					open = append(open, fd)
					if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: src.Address.As4()}); err != nil {
						return err
					}
					err = unix.Connect(fd, &unix.SockaddrInet4{Port: int(port), Addr: dst.Address.As4()})
					if err != nil && !errors.Is(err, unix.EINPROGRESS) {
						return fmt.Errorf("connect to %s: %w", netip.AddrPortFrom(dst.Address, port), err)
					}
					clients = append(clients, &client{trial: trial{src.Name, dst.Name, protocol, port}, fd: fd})
				}
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("in %s: %w", src.Namespace, err)
		}
	}
	return await(ctx, servers, clients)
}

// await answers at the UDP servers and says which clients got through.
func await(ctx context.Context, servers []int, clients []*client) (map[trial]State, error) {
	found := map[trial]State{}
	b := make([]byte, 64)
	var sent time.Time
	for end := time.Now().Add(waitForConnection); time.Now().Before(end); {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if time.Since(sent) > resend {
			sent = time.Now()
			for _, c := range clients {
				if !c.done && c.protocol == contract.UDP {
					_, _ = unix.Write(c.fd, []byte(probeMark)) // an error of an earlier one is read below
				}
			}
		}
		var polls []unix.PollFd
		for _, fd := range servers {
			polls = append(polls, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
		}
		var waiting []*client
		for _, c := range clients {
			if c.done {
				continue
			}
			waiting = append(waiting, c)
			events := int16(unix.POLLIN)
			if c.protocol == contract.TCP {
				events = unix.POLLOUT
			}
			polls = append(polls, unix.PollFd{Fd: int32(c.fd), Events: events})
		}
		if len(waiting) == 0 {
			break
		}
		if _, err := unix.Poll(polls, 100); err != nil && !errors.Is(err, unix.EINTR) {
			return nil, err
		}
		for i, p := range polls {
			if p.Revents == 0 {
				continue
			}
			if i < len(servers) {
				if n, from, err := unix.Recvfrom(servers[i], b, 0); err == nil {
					_ = unix.Sendto(servers[i], b[:n], 0, from) // the client sends again where it is lost
				}
				continue
			}
			c := waiting[i-len(servers)]
			code, err := unix.GetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_ERROR)
			if err != nil {
				return nil, err
			}
			c.done = true
			found[c.trial] = Unknown
			// Refused is an answer of the machine: its kernel says so, never the fabric.
			if code == 0 || unix.Errno(code) == unix.ECONNREFUSED {
				found[c.trial] = Open
			}
		}
	}
	for _, c := range clients {
		if !c.done {
			found[c.trial] = Closed
		}
	}
	return found, nil
}
