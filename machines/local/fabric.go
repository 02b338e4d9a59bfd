package local

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"craton.dev/craton/command"
	"craton.dev/craton/contract"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/nftables"
)

// dropGroup is the nflog group to which the fabric reports what it drops. Groups belong
// to a network namespace, so every cluster can use the same.
const dropGroup = 1

// applyRules makes the fabric's rules the plan's, in one transaction, and ends the
// connections that these no longer allow; the others are not touched.
func (p *Platform) applyRules(ctx context.Context, pl *plan.Plan) error {
	if err := p.Enforce(ctx, pl, nil); err != nil {
		return err
	}
	return p.In(fabricNS, func() error { return setSysctls(followSysctls) })
}

// Enforce makes the fabric's rules those of a plan, for an experiment with another plan of the
// same machines; Prepare makes them the cluster's own again. Counters go on from where they
// are; those that are not there, from before.
func (p *Platform) Enforce(ctx context.Context, pl *plan.Plan, before map[string]nftables.Count) error {
	counts, err := p.counts(ctx)
	if err != nil {
		return err
	}
	for name, c := range before {
		if _, there := counts[nftables.CounterName(name)]; !there {
			counts[nftables.CounterName(name)] = c
		}
	}
	ports := make(map[string]string, len(pl.Machines))
	for _, m := range pl.Machines {
		ports[m.Name] = p.port(m.Name)
	}
	rules := nftables.Fabric(pl, nftables.Options{Ports: ports, LogGroup: dropGroup, Counts: counts})
	if err := p.nft(ctx, rules, nil, "-f", "-"); err != nil {
		return err
	}
	return p.endConnections(pl)
}

// nft runs nft in the fabric.
func (p *Platform) nft(ctx context.Context, in []byte, out *bytes.Buffer, args ...string) error {
	cmd := command.Cmd{Name: "nsenter", Stdin: bytes.NewReader(in),
		Args: append([]string{"--net=" + netnsDir + "/" + p.namespace(fabricNS), "nft"}, args...)}
	if out != nil {
		cmd.Stdout = out
	}
	_, err := cmd.Run(ctx)
	return err
}

// counts reads the fabric's counters, so that replaced rules go on counting.
func (p *Platform) counts(ctx context.Context) (map[string]nftables.Count, error) {
	var out bytes.Buffer
	if err := p.nft(ctx, nil, &out, "-j", "list", "counters"); err != nil {
		return nil, err
	}
	var list struct {
		NFTables []struct {
			Counter *struct {
				Name    string `json:"name"`
				Packets uint64 `json:"packets"`
				Bytes   uint64 `json:"bytes"`
			} `json:"counter"`
		} `json:"nftables"`
	}
	if err := json.Unmarshal(out.Bytes(), &list); err != nil {
		return nil, fmt.Errorf("read what nft prints of its counters: %w", err)
	}
	counts := map[string]nftables.Count{}
	for _, o := range list.NFTables {
		if o.Counter != nil {
			counts[o.Counter.Name] = nftables.Count{Packets: o.Counter.Packets, Bytes: o.Counter.Bytes}
		}
	}
	return counts, nil
}

// Rules are the fabric's rules as its kernel has them, in nft's JSON, and its port for each
// machine of the plan. Anything that somebody added by hand is in them.
func (p *Platform) Rules(ctx context.Context, pl *plan.Plan) (listing []byte, ports map[string]string, err error) {
	var out bytes.Buffer
	if err := p.nft(ctx, nil, &out, "-j", "list", "ruleset"); err != nil {
		return nil, nil, err
	}
	ports = make(map[string]string, len(pl.Machines))
	for _, m := range pl.Machines {
		ports[m.Name] = p.port(m.Name)
	}
	return out.Bytes(), ports, nil
}

// Counters are the packets and bytes that each clause's rules let through, by clause id,
// and those that were dropped, by "role.direction".
func (p *Platform) Counters(ctx context.Context) (clauses, drops map[string]nftables.Count, err error) {
	counts, err := p.counts(ctx)
	if err != nil {
		return nil, nil, err
	}
	clauses, drops = map[string]nftables.Count{}, map[string]nftables.Count{}
	for name, c := range counts {
		if clause, ok := nftables.ClauseOf(name); ok {
			clauses[clause] = c
		} else if what, ok := nftables.DropOf(name); ok {
			drops[what] = c
		}
	}
	return clauses, drops, nil
}

// protocols are the transport protocols that a rule can name, by IP protocol number.
var protocols = map[uint8]contract.Protocol{6: contract.TCP, 17: contract.UDP}

// endConnections deletes the tracked connections that the plan does not allow: without
// their entry, their next packet is a new one to the rules, and is dropped.
func (p *Platform) endConnections(pl *plan.Plan) error {
	if err := p.untrack(fabricNS, notAllowed{pl}); err != nil {
		return fmt.Errorf("end the connections that the rules no longer allow: %w", err)
	}
	return nil
}

// untrack deletes tracked connections of one of the platform's namespaces.
func (p *Platform) untrack(name string, match netlink.CustomConntrackFilter) error {
	ns, err := netns.GetFromName(p.namespace(name))
	if err != nil {
		return err
	}
	defer ns.Close()
	h, err := netlink.NewHandleAt(ns)
	if err != nil {
		return err
	}
	defer h.Close()
	_, err = h.ConntrackDeleteFilters(netlink.ConntrackTable, netlink.InetFamily(netlink.FAMILY_V4), match)
	return err
}

// notAllowed matches the connections that a plan does not allow.
type notAllowed struct{ plan *plan.Plan }

func (n notAllowed) MatchConntrackFlow(f *netlink.ConntrackFlow) bool {
	src, okSrc := netip.AddrFromSlice(f.Forward.SrcIP.To4())
	dst, okDst := netip.AddrFromSlice(f.Forward.DstIP.To4())
	proto, okProto := protocols[f.Forward.Protocol]
	if !okSrc || !okDst || !okProto {
		return true
	}
	ok, _ := n.plan.Allows(src, dst, proto, f.Forward.DstPort)
	return !ok
}

var _ netlink.CustomConntrackFilter = notAllowed{}
