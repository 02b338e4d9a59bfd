// Package rules reads a packet filter's rules of any format that there is a reader for, by
// what the file looks like. It has no format of its own.
package rules

import (
	"bytes"

	"craton.dev/craton/filter"
	"craton.dev/craton/filter/iptables"
	"craton.dev/craton/filter/nft"
)

// Read reads nftables, as text or JSON, or what iptables-save writes. file is its name for
// errors and places.
func Read(file string, data []byte) (*filter.Ruleset, error) {
	if IPTables(data) {
		return iptables.Read(file, data)
	}
	return nft.Read(file, data)
}

// IPTables tells whether a file looks like one of iptables-save: a table begins with * in
// the first column, which nothing of nftables does.
func IPTables(data []byte) bool {
	for line := range bytes.Lines(data) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
			return line[0] == '*'
		}
	}
	return bytes.Contains(data, []byte("tables-save"))
}
