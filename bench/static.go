package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"craton.dev/craton/contract"
)

// The samples of static.
const (
	staticSample = "static verify"
	naiveSample  = "naive enumeration"
	auditSample  = "audit"
)

// static runs `craton verify --static` on the rules of the largest cluster and `craton
// audit` on ten thousand rules. What the former is compared with asks the plan about every
// port, tcp and udp, between every two machines: exact as well, and simple. It is measured
// for one pair and told for all.
func (b *bench) static(ctx context.Context) error {
	file, err := b.clusterFile("benchstatic", largest, "")
	if err != nil {
		return err
	}
	text, err := exec.CommandContext(ctx, b.craton, "render", "nftables", "--file", file).Output()
	if err != nil {
		return err
	}
	rules := filepath.Join(b.dir, "rules.nft")
	if err := os.WriteFile(rules, text, 0o600); err != nil {
		return err
	}
	u, err := b.measure(ctx, "verify", "--static", "--rules", rules, "--file", file)
	if err != nil {
		return err
	}
	b.samples.add(staticSample+" s", u.wall.Seconds())
	b.samples.add(staticSample+" cpu", u.cpu.Seconds())
	b.samples.add(staticSample+" B", float64(u.peak))

	p, err := planIn(file)
	if err != nil {
		return err
	}
	began, open := time.Now(), 0
	src, dst := p.Machines[0].Address, p.Machines[len(p.Machines)-1].Address
	for _, protocol := range []contract.Protocol{contract.TCP, contract.UDP} {
		for port := 1; port <= 65535; port++ {
			if ok, _ := p.Allows(src, dst, protocol, uint16(port)); ok {
				open++
			}
		}
	}
	if open == 0 {
		return fmt.Errorf("the plan opens nothing from %s to %s: there is nothing to compare", src, dst)
	}
	pairs := float64(len(p.Machines)) * float64(len(p.Machines)-1)
	b.samples.add(naiveSample, time.Since(began).Seconds()*pairs)

	groups := filepath.Join(b.dir, "groups.json")
	if err := os.WriteFile(groups, manyGroups(10000), 0o600); err != nil {
		return err
	}
	// Its findings are many; of those that make it fail, it has none.
	u, err = b.measure(ctx, "audit", groups, "--role", "master=sg-0", "--role", "worker=sg-1", "--node-network", "10.0.0.0/16", "--fail-on", "dead")
	if err != nil {
		return err
	}
	b.samples.add(auditSample+" s", u.wall.Seconds())
	b.samples.add(auditSample+" cpu", u.cpu.Seconds())
	b.samples.add(auditSample+" B", float64(u.peak))
	return nil
}

// manyGroups is what AWS would print of two groups with so many rules together.
func manyGroups(rules int) []byte {
	type object = map[string]any
	var groups []object
	for g := range 2 {
		var list []object
		for i := range rules / 2 {
			list = append(list, object{
				"IpProtocol": "tcp", "FromPort": 1 + i%60000, "ToPort": 1 + i%60000 + i%50,
				"IpRanges": []object{{"CidrIp": fmt.Sprintf("%d.%d.%d.0/24", 11+i%150, i/150, g)}},
			})
		}
		groups = append(groups, object{"GroupId": fmt.Sprintf("sg-%d", g), "IpPermissions": list})
	}
	text, err := json.Marshal(object{"SecurityGroups": groups})
	if err != nil {
		panic(err) // strings and numbers are always JSON
	}
	return text
}
