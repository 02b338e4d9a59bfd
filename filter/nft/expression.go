package nft

import (
	"slices"
	"strings"
)

// left reads selectors with " . " between them.
func (p *parser) left() (any, bool) {
	var parts []any
	for {
		s, ok := p.selector()
		if !ok {
			return nil, false
		}
		parts = append(parts, s)
		if !p.is(".") {
			break
		}
	}
	if len(parts) == 1 {
		return parts[0], true
	}
	return map[string]any{"concat": parts}, true
}

func (p *parser) selector() (any, bool) {
	t := p.next()
	if t.kind != 'w' {
		return nil, false
	}
	switch t.text {
	case "ip", "ip6", "tcp", "udp", "udplite", "sctp", "dccp", "th", "icmp", "icmpv6", "ether", "arp", "vlan", "ah", "esp", "comp":
		f := p.next()
		return map[string]any{"payload": map[string]any{"protocol": t.text, "field": f.text}}, f.kind == 'w'
	case "meta":
		f := p.next()
		return map[string]any{"meta": map[string]any{"key": f.text}}, f.kind == 'w'
	case "iif", "iifname", "oif", "oifname", "mark", "skuid", "skgid", "pkttype", "iifgroup", "oifgroup", "cgroup", "iiftype", "oiftype":
		return map[string]any{"meta": map[string]any{"key": t.text}}, true
	case "ct":
		f := p.next()
		o := map[string]any{"key": f.text}
		if f.text == "original" || f.text == "reply" {
			o["dir"] = f.text
			key := p.next()
			if key.text == "ip" || key.text == "ip6" {
				key = p.next()
			}
			o["key"] = key.text
		}
		return map[string]any{"ct": o}, f.kind == 'w'
	case "fib":
		var flags []any
		for {
			f := p.next()
			if f.kind != 'w' {
				return nil, false
			}
			flags = append(flags, f.text)
			if !p.is(".") {
				break
			}
		}
		result := p.next()
		return map[string]any{"fib": map[string]any{"flags": flags, "result": result.text}}, result.kind == 'w'
	}
	return nil, false
}

// bits reads flags: a word, or (a | b), or a | b.
func (p *parser) bits() (any, bool) {
	closed := p.is("(")
	var parts []any
	for {
		t := p.next()
		if t.kind != 'w' {
			return nil, false
		}
		parts = append(parts, t.text)
		if !p.is("|") && !p.is(",") {
			break
		}
	}
	if closed && !p.is(")") {
		return nil, false
	}
	if len(parts) == 1 {
		return parts[0], true
	}
	return map[string]any{"|": parts}, true
}

// right reads values: @set, { … }, $variable, one value, or flags with commas.
func (p *parser) right() (any, bool) {
	t := p.peek()
	switch {
	case t.kind == '{':
		elements, err := p.elements()
		return map[string]any{"set": elements}, err == nil
	case t.kind == '(':
		return p.bits()
	case t.kind == 'w' && strings.HasPrefix(t.text, "@"):
		p.at++
		return t.text, true
	}
	v, ok := p.value()
	if !ok {
		return nil, false
	}
	if k := p.peek().kind; k == ',' || k == '|' {
		all := []any{v}
		for p.is(",") || p.is("|") {
			v, ok := p.value()
			if !ok {
				return nil, false
			}
			all = append(all, v)
		}
		return map[string]any{"|": all}, true
	}
	return v, true
}

// value reads one value, with its concatenation.
func (p *parser) value() (any, bool) {
	var parts []any
	for {
		t := p.next()
		switch {
		case t.kind == 'w' && strings.HasPrefix(t.text, "$"):
			v, ok := p.variable(t.text[1:])
			if !ok {
				return nil, false
			}
			parts = append(parts, v)
		case t.kind == 'w' || t.kind == 's':
			parts = append(parts, plain(t))
		default:
			return nil, false
		}
		if !p.is(".") {
			break
		}
	}
	if len(parts) == 1 {
		return parts[0], true
	}
	return map[string]any{"concat": parts}, true
}

// plain is a word as JSON would have it.
func plain(t token) any {
	switch t.text {
	case "exists":
		return true
	case "missing":
		return false
	}
	return t.text
}

// variable is the value of a definition.
func (p *parser) variable(called string) (any, bool) {
	words, ok := p.vars[called]
	if !ok || len(words) == 0 || p.deep > 8 {
		return nil, false
	}
	sub := &parser{builder: p.builder, vars: p.vars, deep: p.deep + 1, tokens: append(slices.Clip(slices.Clone(words)), token{})}
	v, ok := sub.right()
	return v, ok && sub.peek().kind == 0
}

// elements reads { a, b : verdict, … }.
func (p *parser) elements() ([]any, error) {
	if t := p.peek(); t.kind == 'w' && strings.HasPrefix(t.text, "$") {
		p.at++
		v, ok := p.variable(t.text[1:])
		if o, is := v.(map[string]any); ok && is && o["set"] != nil {
			return list(o["set"]), nil
		}
		return []any{v}, nil
	}
	if err := p.sign("{"); err != nil {
		return nil, err
	}
	out := []any{}
	for {
		p.lines()
		if p.is("}") {
			return out, nil
		}
		t := p.peek()
		v, ok := p.right1()
		if !ok {
			return nil, p.fail(t, "a value")
		}
		// What stands with an element and says nothing of what it matches.
		for slices.Contains([]string{"timeout", "expires", "comment", "counter", "packets", "bytes"}, p.peek().text) {
			if p.next().text != "counter" {
				p.next()
			}
		}
		p.lines()
		if p.is(":") {
			p.lines()
			verdict, ok := p.statement()
			if !ok {
				verdict = map[string]any{"not understood": p.next().text}
			}
			v = []any{v, verdict}
		}
		if o, is := v.(map[string]any); is && o["set"] != nil { // a variable that is a set
			out = append(out, list(o["set"])...)
		} else {
			out = append(out, v)
		}
		p.lines()
		if !p.is(",") && p.peek().kind != '}' {
			return nil, p.fail(p.peek(), `"," or "}"`)
		}
	}
}

// right1 reads a value between commas.
func (p *parser) right1() (any, bool) {
	if p.peek().kind == '{' || p.deep > 64 {
		return nil, false
	}
	return p.value()
}
