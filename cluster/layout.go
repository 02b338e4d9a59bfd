package cluster

import (
	"fmt"
	"net/netip"
)

// Where machines of each role begin in machineNetwork, counted from its base. The file's
// check of "does it fit" and the plan's addresses both come from these. The addresses
// below FirstMaster are kept for the cluster's surroundings (resolver, load balancer, registry).
const (
	FirstMaster = 10
	FirstInfra  = 20
	LastInfra   = 230
	FirstWorker = 256
)

// PodPrefixBits is the length of the piece of podNetwork that each machine gets.
const PodPrefixBits = 24

// MostInfra is how many infra machines the layout has room for.
const MostInfra = LastInfra - FirstInfra + 1

// MachineName is <cluster>-<role>-<number>; numbers start at 1.
func MachineName(cluster, role string, number int) string {
	return fmt.Sprintf("%s-%s-%d", cluster, role, number)
}

// room is how many machines fit between two offsets of a network. The network's last
// address stays free: it is the broadcast address.
func room(network netip.Prefix, first, last int) int {
	usable := int64(1)<<(32-network.Bits()) - 2
	return int(max(0, min(usable, int64(last))-int64(first)+1))
}

// bitsFor is the longest prefix in which the offset can be used.
func bitsFor(offset int) int {
	bits := 32
	for bits > 0 && int64(1)<<(32-bits)-2 < int64(offset) {
		bits--
	}
	return bits
}

// podBitsFor is the longest pod network with a piece for each of so many machines.
func podBitsFor(machines int) int {
	bits := PodPrefixBits
	for bits > 0 && 1<<(PodPrefixBits-bits) < machines {
		bits--
	}
	return bits
}
