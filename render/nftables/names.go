package nftables

import (
	"fmt"
	"strconv"
	"strings"

	"craton.dev/craton/contract"
)

// dropPrefix starts the names of drop counters. No clause's id starts with it, since ids
// start with a role.
const dropPrefix = "drop."

// CounterName is the name of a clause's counter. nft takes letters, digits, dots, dashes
// and underscores in names, so that it is the clause's id itself; any other byte is
// written as / and two hexadecimal digits.
func CounterName(clause string) string {
	plain := true
	for i := 0; i < len(clause); i++ {
		plain = plain && plainByte(clause[i])
	}
	if plain {
		return clause
	}
	var b strings.Builder
	for i := 0; i < len(clause); i++ {
		if plainByte(clause[i]) {
			b.WriteByte(clause[i])
		} else {
			fmt.Fprintf(&b, "/%02x", clause[i])
		}
	}
	return b.String()
}

// ClauseOf is the clause that a counter counts for; ok is false for a drop counter and for
// a name that CounterName does not make.
func ClauseOf(counter string) (clause string, ok bool) {
	if strings.HasPrefix(counter, dropPrefix) {
		return "", false
	}
	var b strings.Builder
	for i := 0; i < len(counter); i++ {
		if counter[i] != '/' {
			b.WriteByte(counter[i])
			continue
		}
		if i+2 >= len(counter) {
			return "", false
		}
		v, err := strconv.ParseUint(counter[i+1:i+3], 16, 8)
		if err != nil {
			return "", false
		}
		b.WriteByte(byte(v))
		i += 2
	}
	return b.String(), CounterName(b.String()) == counter
}

func plainByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '-' || c == '_'
}

// Spoofed is what was dropped because it carried an address that is not its machine's.
const Spoofed = "spoofed"

// DropCounter is the name of the counter of what was dropped: "<role>.<direction>",
// Spoofed or "invalid".
func DropCounter(what string) string { return dropPrefix + what }

// DropOf is the reverse of DropCounter; ok is false for a clause's counter.
func DropOf(counter string) (what string, ok bool) { return strings.CutPrefix(counter, dropPrefix) }

func chainName(role contract.Role, direction contract.Kind) string {
	return string(role) + "." + string(direction)
}

// rolePeer is the peer that a role's machines are.
var rolePeer = map[contract.Role]contract.Peer{
	contract.Master: contract.Masters,
	contract.Infra:  contract.InfraNodes,
	contract.Worker: contract.Workers,
}

// machineRoles are the roles that machines have, in the order in which chains are written.
var machineRoles = []contract.Role{contract.Master, contract.Infra, contract.Worker}

func setName(peer contract.Peer) string { return string(peer) }
