// Package nft reads the rules of nftables, as nft writes and takes them: as text and as
// JSON (nft -j list ruleset).
//
// It knows what firewalls are made of: tables, chains, sets, verdict maps, matches on
// interfaces, addresses, protocols, ports and the state of connections. What it does not
// know it keeps as a condition that may or may not hold, or as a note; it never leaves out
// anything that could drop or accept a packet. It runs no program and opens no file.
package nft

import (
	"bytes"
	"fmt"

	"craton.dev/craton/filter"
	"craton.dev/craton/packets"
)

// MaxSize is how many bytes a ruleset may have.
const MaxSize = 256 << 20

// Read reads a ruleset. file is its name for errors and places. An error names the file
// and line, or the object, that cannot be read.
func Read(file string, data []byte) (*filter.Ruleset, error) {
	if len(data) > MaxSize {
		return nil, fmt.Errorf("%s: %d bytes are more than a ruleset can have: at most %d", file, len(data), MaxSize)
	}
	b := newBuilder(file)
	read := b.readText
	if start := bytes.TrimLeft(data, " \t\r\n"); len(start) > 0 && start[0] == '{' {
		read = b.readJSON
	}
	if err := read(data); err != nil {
		return nil, err
	}
	return b.finish()
}

// builder collects a ruleset's objects. Both formats bring them in the shape of nft's JSON.
type builder struct {
	file    string
	rules   filter.Ruleset
	chains  map[name]*filter.Chain
	sets    map[name]*set
	tables  map[name]bool // by family and name
	pending []pendingRule
}

// name is that of an object in a table, "family name".
type name struct{ table, name string }

// set is a named set or map.
type set struct {
	elements []any
	dynamic  bool // packets themselves change it
}

// pendingRule waits till all sets are known.
type pendingRule struct {
	chain *filter.Chain
	table string
	place filter.Place
	text  string
	parts []any
	note  string // the rule's comment
}

func newBuilder(file string) *builder {
	return &builder{file: file, chains: map[name]*filter.Chain{}, sets: map[name]*set{}, tables: map[name]bool{}}
}

func (b *builder) note(place filter.Place, format string, args ...any) {
	b.rules.Notes = append(b.rules.Notes, filter.Note{Place: place, Text: fmt.Sprintf(format, args...)})
}

func (b *builder) finish() (*filter.Ruleset, error) {
	for _, p := range b.pending {
		if b.chains[name{p.table, p.chain.Name}] != p.chain {
			continue // its table or chain was deleted again
		}
		p.chain.Rules = append(p.chain.Rules, b.interpret(p))
	}
	b.rules.Sets = map[string][]packets.Range{}
	for key, s := range b.sets {
		if f, ok := (selector{read: address}).field("==", s.elements); ok && !s.dynamic && len(s.elements) > 0 {
			b.rules.Sets[key.name] = append(b.rules.Sets[key.name], f.Ranges...)
		}
	}
	return &b.rules, nil
}

// families are those of a table's packets; ok is false for tables that see no IP packets.
func families(family string) (f filter.Families, ok bool) {
	switch family {
	case "ip", "":
		return filter.V4, true
	case "ip6":
		return filter.V6, true
	case "inet":
		return filter.V4 | filter.V6, true
	}
	return 0, false
}

// table makes a table known, and notes one whose rules are about other packets.
func (b *builder) table(family, table string, place filter.Place) {
	if _, ok := families(family); !ok {
		b.note(place, "table %s %s: the rules of family %s are not looked at", family, table, family)
	}
	b.tables[name{family, table}] = true
}

// deleteTable takes a table and all in it away.
func (b *builder) deleteTable(table string) {
	for k := range b.chains {
		if k.table == table {
			delete(b.chains, k)
		}
	}
	for k := range b.sets {
		if k.table == table {
			delete(b.sets, k)
		}
	}
	kept := b.rules.Chains[:0]
	for _, c := range b.rules.Chains {
		if c.Table != table {
			kept = append(kept, c)
		}
	}
	b.rules.Chains = kept
}

// flush takes everything away.
func (b *builder) flush() {
	b.chains, b.sets, b.pending, b.rules.Chains = map[name]*filter.Chain{}, map[name]*set{}, nil, nil
}

// priorities are the names of hooks' priorities.
var priorities = map[string]int{"raw": -300, "mangle": -150, "dstnat": -100, "filter": 0, "security": 50, "srcnat": 100, "out": 100}

// chain makes a chain known; one that is there already gets the hook.
func (b *builder) chain(family, table, chain string, hook string, priority int, policy string, place filter.Place) error {
	key := name{family + " " + table, chain}
	c := b.chains[key]
	if c == nil {
		f, ok := families(family)
		if !ok {
			return nil
		}
		c = &filter.Chain{Table: key.table, Name: chain, Families: f, Policy: filter.Accept, Place: place}
		b.chains[key] = c
		b.rules.Chains = append(b.rules.Chains, c)
	}
	switch hook {
	case "":
	case "prerouting", "input", "forward", "output", "postrouting":
		c.Hook, c.Priority = hook, priority
	default:
		b.note(place, "chain %s: what it does at hook %q is not looked at", chain, hook)
	}
	switch policy {
	case "", "accept":
	case "drop":
		c.Policy = filter.Drop
	default:
		return fmt.Errorf("%s: chain %s: policy %q: expected accept or drop", place, chain, policy)
	}
	return nil
}

// rule keeps a rule till finish.
func (b *builder) rule(family, table, chain string, place filter.Place, text string, parts []any, comment string, first bool) error {
	if _, ok := families(family); !ok {
		return nil // the table is noted
	}
	key := name{family + " " + table, chain}
	c := b.chains[key]
	if c == nil {
		return fmt.Errorf("%s: a rule of chain %q, which table %s does not have", place, chain, key.table)
	}
	p := pendingRule{c, key.table, place, text, parts, comment}
	if first {
		b.pending = append([]pendingRule{p}, b.pending...)
	} else {
		b.pending = append(b.pending, p)
	}
	return nil
}

// set makes a set or map known, or adds to it.
func (b *builder) set(family, table, called string, elements []any, dynamic bool) {
	key := name{family + " " + table, called}
	s := b.sets[key]
	if s == nil {
		s = &set{}
		b.sets[key] = s
	}
	s.elements = append(s.elements, elements...)
	s.dynamic = s.dynamic || dynamic
}
