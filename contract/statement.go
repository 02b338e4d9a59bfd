package contract

import (
	"fmt"
	"strconv"
	"strings"
)

// Statement is the clause as one sentence, made from its fields.
func (c Clause) Statement() string {
	var b strings.Builder
	b.WriteString(string(c.Level) + " ")
	switch c.Kind {
	case Ingress:
		fmt.Fprintf(&b, "allow %s from %s, for %s", c.traffic(), list("and", c.Peers, peerPhrase), c.Purpose)
	case Egress:
		fmt.Fprintf(&b, "allow %s to %s, for %s", c.traffic(), list("and", c.Peers, peerPhrase), c.Purpose)
	case DNS:
		fmt.Fprintf(&b, "name %s %s", c.Purpose, strings.Join(c.Names, ", "))
	case Count:
		fmt.Fprintf(&b, "run %s, for %s", c.machines(), c.Purpose)
	case Access:
		fmt.Fprintf(&b, "be granted the API access that it needs, for %s", c.Purpose)
	case Machine:
		b.WriteString(c.Purpose)
		if len(c.Labels) > 0 {
			b.WriteString(", labelled " + strings.Join(c.Labels, ", "))
		}
		if len(c.Taints) > 0 {
			b.WriteString(", tainted " + strings.Join(c.Taints, ", "))
		}
	}
	if c.Condition != Always {
		b.WriteString(", if " + string(c.Condition))
	}
	return b.String()
}

func (c Clause) traffic() string {
	protocols := list("and", c.Protocols, func(p Protocol) string {
		if p == Any {
			return "any protocol"
		}
		return string(p)
	})
	if len(c.Ports) == 1 && c.Ports[0] == allPorts {
		return "all " + protocols + " ports"
	}
	ports := list("and", c.Ports, PortRange.String)
	if c.PortFrom != "" {
		ports += " (or " + c.PortFrom + ")"
	}
	return protocols + " " + ports
}

func (c Clause) machines() string {
	counts, more := c.Counts, ""
	if n := len(counts); n > 0 && counts[n-1] == CountOrMore {
		counts, more = counts[:n-1], " or more"
	}
	return list("or", counts, strconv.Itoa) + more + " " + string(c.Role) + " machines"
}

func peerPhrase(p Peer) string {
	switch p {
	case All:
		return "all addresses"
	case UserNetwork:
		return "the user network"
	case InfraNodes:
		return "infra nodes"
	case ExternalEtcd:
		return "the external etcd"
	case LoadBalancers:
		return "load balancers"
	case TimeServers:
		return "time servers"
	}
	return string(p)
}

// list writes "a", "a and b", "a, b and c".
func list[T any](last string, items []T, phrase func(T) string) string {
	phrases := make([]string, len(items))
	for i, item := range items {
		phrases[i] = phrase(item)
	}
	if len(phrases) < 2 {
		return strings.Join(phrases, "")
	}
	end := len(phrases) - 1
	return strings.Join(phrases[:end], ", ") + " " + last + " " + phrases[end]
}
