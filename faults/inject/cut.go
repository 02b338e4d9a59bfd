package inject

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"craton.dev/craton/command"
)

// table is a table of its own in the fabric. The plan's rules stay as they are beside it:
// what either drops, is dropped.
const table = "craton_faults"

// Any is every address.
const Any = ""

// Way is a direction that carries nothing any more: packets from one address to another,
// each an address or Any.
type Way struct{ From, To string }

// Between are both directions between two sets of machines.
func (c *Cluster) Between(some, others []string) ([]Way, error) {
	var ways []Way
	for _, a := range some {
		for _, b := range others {
			one, err := c.address(a)
			if err != nil {
				return nil, err
			}
			other, err := c.address(b)
			if err != nil {
				return nil, err
			}
			ways = append(ways, Way{one, other}, Way{other, one})
		}
	}
	return ways, nil
}

// Around are all ways to and from machines.
func (c *Cluster) Around(machines []string) ([]Way, error) {
	var ways []Way
	for _, m := range machines {
		a, err := c.address(m)
		if err != nil {
			return nil, err
		}
		ways = append(ways, Way{a, Any}, Way{Any, a})
	}
	return ways, nil
}

// OneWay are the packets of one machine to others; theirs to it still arrive.
func (c *Cluster) OneWay(from string, to []string) ([]Way, error) {
	both, err := c.Between([]string{from}, to)
	var ways []Way
	for i := 0; i < len(both); i += 2 {
		ways = append(ways, both[i])
	}
	return ways, err
}

// Cut drops what goes these ways, also of connections that exist, in addition to what was
// cut before.
func (c *Cluster) Cut(ctx context.Context, ways []Way) error {
	return c.nft(ctx, ruleset(ways), "-f", "-")
}

func ruleset(ways []Way) string {
	var b strings.Builder
	fmt.Fprintf(&b, "table inet %s {\n\tchain cut {\n\t\ttype filter hook forward priority -300; policy accept;\n", table)
	for _, w := range ways {
		b.WriteString("\t\t")
		if w.From != Any {
			fmt.Fprintf(&b, "ip saddr %s ", w.From)
		}
		if w.To != Any {
			fmt.Fprintf(&b, "ip daddr %s ", w.To)
		}
		b.WriteString("drop\n")
	}
	b.WriteString("\t}\n}\n")
	return b.String()
}

// Join lets all pass again that the plan's rules let pass.
func (c *Cluster) Join(ctx context.Context) error {
	// Making it first, so that there is one to delete.
	return c.nft(ctx, joined, "-f", "-")
}

const joined = "table inet " + table + " {}\ndelete table inet " + table + "\n"

func (c *Cluster) nft(ctx context.Context, in string, args ...string) error {
	_, err := command.Cmd{Name: "nsenter", Stdin: bytes.NewReader([]byte(in)),
		Args: append([]string{"--net=/run/netns/craton-" + c.Plan.Cluster + "-fabric", "nft"}, args...)}.Run(ctx)
	return err
}
