package bootstrap

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"

	"craton.dev/craton/command"
	"craton.dev/craton/contract"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/firstboot"
)

// etcdDir is a master's folder of etcd: the data are in its folder data. A test compares it
// with the manifest.
const etcdDir = "/var/lib/etcd"

// The clauses that have etcd's ports.
const (
	clauseEtcdClient = "master.ingress.etcd-client"
	clauseEtcdPeer   = "master.ingress.etcd-peer"
)

func (c *Cluster) masters() []plan.Machine { return c.Plan.OfRole(contract.Master) }

// runningMasters are those that can be reached by their console.
func (c *Cluster) runningMasters(ctx context.Context) ([]plan.Machine, error) {
	off, err := c.off(ctx)
	if err != nil {
		return nil, err
	}
	is := map[string]bool{}
	for _, m := range off {
		is[m.Name] = true
	}
	var running []plan.Machine
	for _, m := range c.masters() {
		if !is[m.Name] {
			running = append(running, m)
		}
	}
	return running, nil
}

// etcdURL is where a master's etcd listens, by the clause that opens the port.
func etcdURL(m plan.Machine, clause string) (string, error) {
	port, err := clausePort(clause)
	return "https://" + net.JoinHostPort(m.Address.String(), strconv.Itoa(port)), err
}

func clausePort(id string) (int, error) {
	c, ok := contract.ByID(id)
	if !ok || len(c.Ports) == 0 {
		return 0, fmt.Errorf("the contract has no clause %s with a port", id)
	}
	return int(c.Ports[0].First), nil
}

// etcdClient are the files by which a program on a master shows etcd who it is, as flags.
func etcdClient(ca, cert, key string) []string {
	const identity = "etcd-server"
	return []string{ca + "=" + firstboot.EtcdCA, cert + "=" + firstboot.CertPath(identity), key + "=" + firstboot.KeyPath(identity)}
}

// runOn runs a program of one of the cluster's images on a master, with the machine's network
// and its certificates.
func (c *Cluster) runOn(ctx context.Context, m plan.Machine, image string, argv []string, out, errw io.Writer) error {
	const pki = firstboot.PKIDir
	return c.Platform.Exec(ctx, m.Name, append([]string{
		"ctr", "--namespace", "k8s.io", "run", "--rm", "--net-host",
		"--mount", "type=bind,src=" + pki + ",dst=" + pki + ",options=rbind:ro",
		image, "craton-" + rand.Text(),
	}, argv...), nil, out, errw)
}

// said is the last line that a program on a machine wrote to stderr: the command itself, with
// all that it takes to get to the machine, is no help to anybody.
func said(err error) error {
	e, ok := errors.AsType[*command.Error](err)
	if !ok {
		return err
	}
	lines := strings.Split(strings.TrimSpace(e.Stderr), "\n")
	last := strings.TrimSpace(lines[len(lines)-1])
	if last == "" || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return e.Err
	}
	return &sentence{last, err}
}
