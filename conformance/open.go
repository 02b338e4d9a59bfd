package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"craton.dev/craton/bootstrap"
	"craton.dev/craton/contract"
	"craton.dev/craton/plan"
)

// open is the plan with rules that let everything pass, in and out of every machine. What is
// wrong without any rules as well, such as a false sender, still does not.
func open(p *plan.Plan) *plan.Plan {
	wide := *p
	wide.Rules = nil
	roles := map[contract.Role]bool{}
	for _, m := range p.Machines {
		if roles[m.Role] {
			continue
		}
		roles[m.Role] = true
		for _, direction := range []contract.Kind{contract.Ingress, contract.Egress} {
			for _, protocol := range []contract.Protocol{contract.TCP, contract.UDP} {
				wide.Rules = append(wide.Rules, plan.Rule{
					Role: m.Role, Direction: direction, Protocol: protocol, Level: contract.Must,
					Ports: []contract.PortRange{{First: 1, Last: 65535}}, Peers: []contract.Peer{contract.All},
					Clauses: []string{fmt.Sprintf("%s.%s.open", m.Role, direction)},
				})
			}
		}
	}
	return &wide
}

// compare runs the tests that have failed once more, with the fabric open: what passes then
// fails because of the rules, or by chance. limit is for all of them.
func (s *suite) compare(ctx context.Context, c *bootstrap.Cluster, done *session, limit time.Duration) (err error) {
	var names []string
	for _, t := range done.tests {
		if t.Verdict == failed {
			names = append(names, t.Name)
		}
	}
	if len(names) == 0 || limit < grace {
		return nil
	}
	say("once more without rules: %d tests", len(names))
	if err := c.Platform.Enforce(ctx, open(c.Plan), nil); err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, c.Platform.Enforce(context.WithoutCancel(ctx), c.Plan, nil))
	}()
	again, err := s.run(ctx, c, names, limit)
	for _, t := range again.tests {
		for i := range done.tests {
			if done.tests[i].Name == t.Name {
				done.tests[i].Open = t.Verdict
			}
		}
	}
	done.Seconds += again.Seconds
	return err
}
