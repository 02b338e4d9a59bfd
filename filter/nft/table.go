package nft

import (
	"slices"
	"strconv"
	"strings"

	"craton.dev/craton/filter"
)

// tableName reads "[family] name".
func (p *parser) tableName() (family, called string, err error) {
	called, err = p.word("a table's name")
	if err != nil {
		return "", "", err
	}
	family = "ip"
	if slices.Contains([]string{"ip", "ip6", "inet", "arp", "bridge", "netdev"}, called) && (p.peek().kind == 'w' || p.peek().kind == 's') {
		family = called
		called, err = p.word("a table's name")
	}
	return family, called, err
}

func (p *parser) table(here filter.Place) error {
	family, called, err := p.tableName()
	if err != nil {
		return err
	}
	p.builder.table(family, called, here)
	if !p.is("{") {
		return nil
	}
	for {
		p.lines()
		here, t := p.here(), p.next()
		switch {
		case t.kind == '}':
			return nil
		case t.kind != 'w':
			return p.fail(t, `a chain, a set or "}"`)
		}
		if err := p.member(family, called, t, here); err != nil {
			return err
		}
	}
}

// member reads one object of a table.
func (p *parser) member(family, table string, kind token, here filter.Place) error {
	switch kind.text {
	case "chain":
		called, err := p.word("a chain's name")
		if err != nil {
			return err
		}
		return p.chain(family, table, called, here)
	case "set", "map":
		called, err := p.word("a set's name")
		if err != nil {
			return err
		}
		return p.set(family, table, called)
	case "counter", "quota", "limit", "flowtable", "ct", "secmark", "synproxy", "comment", "tunnel":
		_, err := p.rest()
		return err
	}
	words, err := p.rest()
	p.note(here, "not understood in table %s: %s", table, spell(append([]token{kind}, words...)))
	return err
}

// chain reads a chain's block.
func (p *parser) chain(family, table, called string, here filter.Place) error {
	if err := p.builder.chain(family, table, called, "", 0, "", here); err != nil {
		return err
	}
	if !p.is("{") {
		return nil
	}
	for {
		p.lines()
		switch here, t := p.here(), p.peek(); {
		case p.is("}"):
			return nil
		case t.kind == 0:
			return p.fail(t, `"}"`)
		case t.text == "type" && t.kind == 'w', t.text == "policy" && t.kind == 'w':
			words, err := p.rest()
			if err != nil {
				return err
			}
			if err := p.hook(family, table, called, words, here); err != nil {
				return err
			}
		case t.text == "comment" && t.kind == 'w', t.text == "devices" && t.kind == 'w', t.text == "flags" && t.kind == 'w':
			if _, err := p.rest(); err != nil {
				return err
			}
		default:
			if err := p.rule(family, table, called, here, false); err != nil {
				return err
			}
		}
	}
}

// hook reads "type filter hook input priority filter + 10" or "policy drop".
func (p *parser) hook(family, table, chain string, words []token, here filter.Place) error {
	hook, policy, priority := "", "", 0
	for i := 0; i < len(words); i++ {
		value := ""
		if i+1 < len(words) {
			value = words[i+1].text
		}
		switch words[i].text {
		case "hook":
			hook = value
		case "policy":
			policy = value
		case "priority":
			sign := 1
			for _, w := range words[i+1:] {
				n, err := strconv.Atoi(strings.TrimPrefix(w.text, "+"))
				named, ok := priorities[w.text]
				switch {
				case w.text == "-":
					sign = -1
				case w.text == "+":
				case ok:
					priority += named
				case err == nil:
					priority += sign * n
				default:
					p.note(here, "chain %s: priority %q is not understood", chain, w.text)
				}
			}
			i = len(words)
		}
	}
	return p.builder.chain(family, table, chain, hook, priority, policy, here)
}

// set reads a set's or map's block.
func (p *parser) set(family, table, called string) error {
	p.builder.set(family, table, called, nil, false)
	if !p.is("{") {
		return nil
	}
	for {
		p.lines()
		t := p.next()
		switch {
		case t.kind == '}':
			return nil
		case t.kind == 0:
			return p.fail(t, `"}"`)
		case t.text == "elements":
			if err := p.sign("="); err != nil {
				return err
			}
			elements, err := p.elements()
			if err != nil {
				return err
			}
			p.builder.set(family, table, called, elements, false)
		default:
			words, err := p.rest()
			if err != nil {
				return err
			}
			if t.text == "flags" || t.text == "timeout" {
				dynamic := t.text == "timeout" || slices.ContainsFunc(words, func(w token) bool { return w.text == "dynamic" || w.text == "timeout" })
				p.builder.set(family, table, called, nil, dynamic)
			}
		}
	}
}

// add reads what follows add, create or insert.
func (p *parser) add(here filter.Place, first bool) error {
	kind, err := p.word("rule, chain, table, set or element")
	if err != nil {
		return err
	}
	if kind == "table" {
		return p.table(here)
	}
	if !slices.Contains([]string{"rule", "chain", "set", "map", "element"}, kind) {
		words, err := p.rest()
		if !slices.Contains([]string{"counter", "quota", "limit", "flowtable", "ct"}, kind) {
			p.note(here, "not understood: add %s %s", kind, spell(words))
		}
		return err
	}
	family, table, err := p.tableName()
	if err != nil {
		return err
	}
	called, err := p.word("a name")
	if err != nil {
		return err
	}
	switch kind {
	case "chain":
		return p.chain(family, table, called, here)
	case "set", "map":
		return p.set(family, table, called)
	case "element":
		elements, err := p.elements()
		if err == nil {
			p.builder.set(family, table, called, elements, false)
		}
		return err
	}
	for p.peek().text == "handle" || p.peek().text == "position" || p.peek().text == "index" {
		p.note(here, "where a rule goes by %s is not understood", p.next().text)
		p.next()
	}
	return p.rule(family, table, called, here, first)
}

// spell writes tokens as a line.
func spell(words []token) string {
	var out []string
	for _, w := range words {
		if w.kind == 'n' {
			continue
		}
		s := w.text
		if w.kind == 's' {
			s = strconv.Quote(s)
		}
		out = append(out, s)
	}
	s := strings.NewReplacer(" ,", ",", " ;", ";").Replace(strings.Join(out, " "))
	const most = 300
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + " …"
	}
	return s
}
