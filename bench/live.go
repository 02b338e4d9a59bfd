package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vishvananda/netns"

	"craton.dev/craton/command"
	"craton.dev/craton/plan"
)

// The samples of live.
const (
	liveSample      = "live verify"
	pairSample      = "live verify, user to master"
	naivePairSample = "connect to each port, user to master"
	nmapSample      = "nmap, user to master"
	driftSample     = "drift"
	watchSample     = "watch B"
	watchPeakSample = "watch peak B"
	watchOwnSample  = "watch own B"
)

// watchSettled is longer than a watcher takes to give back what only its start uses.
const watchSettled = 18 * time.Second

const (
	liveCluster   = "bench-live"
	userNamespace = "craton-" + liveCluster + "-user"
)

// live asks five machines about all their ports, and watches their fabric's rules while somebody
// changes them. One pair is asked in three ways: by craton, tcp and udp; by connecting to each tcp
// port; and by nmap, tcp, where the host has it.
func (b *bench) live(ctx context.Context) (err error) {
	file, err := b.clusterFile(liveCluster, 4, "")
	if err != nil {
		return err
	}
	p, err := planIn(file)
	if err != nil {
		return err
	}
	if err := b.cleanUp(liveCluster); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.cleanUp(liveCluster)) }()
	if err := b.bring(ctx, file); err != nil {
		return err
	}
	u, err := b.measure(ctx, "verify", "--cluster", liveCluster)
	if err != nil {
		return err
	}
	b.samples.add(liveSample, u.wall.Seconds())
	master := p.Machines[slices.IndexFunc(p.Machines, func(m plan.Machine) bool { return m.Name == liveCluster+"-master-1" })]
	if u, err = b.measure(ctx, "verify", "--cluster", liveCluster, "--from", "user", "--to", master.Name); err != nil {
		return err
	}
	b.samples.add(pairSample, u.wall.Seconds())
	began := time.Now()
	open, err := connectToEach(ctx, master.Address.String())
	if err == nil && open == 0 {
		err = fmt.Errorf("no port of %s is open to users: there is nothing to compare", master.Name)
	}
	if err != nil {
		return err
	}
	b.samples.add(naivePairSample, time.Since(began).Seconds())
	if _, err := exec.LookPath("nmap"); err == nil {
		began := time.Now()
		_, err := command.Cmd{Name: "nsenter", Args: []string{"--net=/run/netns/" + userNamespace, "nmap", "-n", "-Pn", "-sS", "-T5", "--min-rate", "5000", "-p1-65535", master.Address.String()}, Timeout: 10 * time.Minute}.Run(ctx)
		if err != nil {
			return err
		}
		b.samples.add(nmapSample, time.Since(began).Seconds())
	} else {
		say("nmap is not installed: what it would take is left out")
	}
	return b.drift(ctx)
}

// connectToEach connects from the user network to every tcp port, a thousand at a time, as somebody would
// who has no counters to look at: what does not answer within a second is shut.
func connectToEach(ctx context.Context, host string) (open int, err error) {
	ns, err := netns.GetFromName(userNamespace)
	if err != nil {
		return 0, err
	}
	defer ns.Close()
	dial := dialFrom(ns)
	results, room := make(chan bool), make(chan bool, 1000)
	go func() {
		for port := 1; port <= 65535; port++ {
			room <- true
			go func() {
				ctx, cancel := context.WithTimeout(ctx, time.Second)
				c, err := dial(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
				cancel()
				if err == nil {
					c.Close()
				}
				<-room
				results <- err == nil
			}()
		}
	}()
	for range 65535 {
		if <-results {
			open++
		}
	}
	return open, nil
}

// drift changes the fabric's rules while a watcher looks, and measures when it tells, and what
// memory it had.
func (b *bench) drift(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	watcher := exec.CommandContext(ctx, b.craton, "verify", "--static", "--watch", "--cluster", liveCluster)
	out, err := watcher.StdoutPipe()
	if err != nil {
		return err
	}
	if err := watcher.Start(); err != nil {
		return err
	}
	defer watcher.Wait()
	defer watcher.Process.Kill()
	told := bufio.NewScanner(out)
	until := func(words string) error {
		for told.Scan() {
			if strings.Contains(told.Text(), words) {
				return nil
			}
		}
		return fmt.Errorf("the watcher ended before it said %q", words)
	}
	if err := until(" 0 not, 0 unknown"); err != nil {
		return err
	}
	// As a service that has run for a while, not as a program that starts.
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(watchSettled):
	}
	const port = "8443"
	began := time.Now()
	if _, err := command.Run(ctx, "nsenter", "--net=/run/netns/craton-"+liveCluster+"-fabric",
		"nft", "insert", "rule", "inet", "craton", "master.ingress", "tcp", "dport", port, "accept"); err != nil {
		return err
	}
	if err := until("tcp " + port); err != nil {
		return err
	}
	b.samples.add(driftSample, time.Since(began).Seconds())
	b.samples.add(watchSample, float64(statusBytes(watcher.Process.Pid, "VmRSS")))
	b.samples.add(watchPeakSample, float64(statusBytes(watcher.Process.Pid, "VmHWM")))
	b.samples.add(watchOwnSample, float64(statusBytes(watcher.Process.Pid, "RssAnon")))
	return nil
}
