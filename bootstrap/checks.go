package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"craton.dev/craton/contract"
	"craton.dev/craton/operation"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/part"
	"craton.dev/craton/render/parts"
)

// checkTime is how long a part may take to answer a check.
const checkTime = 3 * time.Second

// showChecks adds to the components what the checks of their parts say, which their pods do
// not show.
func (c *Cluster) showChecks(ctx context.Context, s *Status) error {
	for _, one := range parts.Chosen(c.Plan) {
		if one.Checks == nil {
			continue
		}
		checks, err := one.Checks(c.Plan)
		if err != nil {
			return err
		}
		for i := range s.Components {
			if s.Components[i].Name != one.Name || s.Components[i].Problem != "" {
				continue // its pods say more
			}
			for _, check := range checks {
				if err := c.ask(ctx, check); err != nil {
					s.Components[i].Problem = fmt.Sprintf("it should be so that %s: %v", check.Sentence, err)
					break
				}
			}
		}
	}
	return nil
}

// ask asks one check. The error says what is not as it should be.
func (c *Cluster) ask(ctx context.Context, check part.Check) error {
	if c.Secrets == nil {
		if err := c.loadSecrets(); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	return operation.Ask(ctx, c.Plan, c.Secrets, check, func(ctx context.Context, network, address string) (net.Conn, error) {
		return c.dialFor(ctx, check.From, network, address)
	})
}

// dialFor connects as somebody else does, to an address or to one of the plan's names.
func (c *Cluster) dialFor(ctx context.Context, from contract.Peer, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	targets := []string{host}
	for _, n := range c.Plan.Names {
		if n.Name == host {
			targets = n.Targets
		}
	}
	var errs []error
	for _, target := range targets {
		conn, err := c.dialOne(ctx, from, network, net.JoinHostPort(target, port))
		if err == nil {
			return conn, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

func (c *Cluster) dialOne(ctx context.Context, from contract.Peer, network, address string) (net.Conn, error) {
	if from == contract.UserNetwork {
		return c.Platform.Dial(ctx, network, address)
	}
	machine, err := firstOf(c.Plan, from)
	if err != nil {
		return nil, err
	}
	return c.Platform.DialFrom(ctx, machine, network, address, checkTime)
}

// firstOf is the first machine that a peer means.
func firstOf(p *plan.Plan, peer contract.Peer) (string, error) {
	role, ok := map[contract.Peer]contract.Role{
		contract.Masters: contract.Master, contract.InfraNodes: contract.Infra, contract.Workers: contract.Worker,
	}[peer]
	for _, m := range p.Machines {
		if ok && m.Role == role {
			return m.Name, nil
		}
	}
	return "", fmt.Errorf("the cluster has no %s to ask from", peer)
}
