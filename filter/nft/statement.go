package nft

import (
	"slices"
	"strings"

	"craton.dev/craton/filter"
)

// rule reads one rule's statements.
func (p *parser) rule(family, table, chain string, here filter.Place, first bool) error {
	start := p.at
	words, err := p.rest()
	if err != nil {
		return err
	}
	if len(words) == 0 {
		return p.fail(p.peek(), "a rule")
	}
	end := p.at
	sub := &parser{builder: p.builder, vars: p.vars, tokens: append(slices.Clip(slices.Clone(p.tokens[start:end])), token{0, "", here.Line})}
	comment, parts := "", []any{}
	for sub.peek().kind != 0 {
		if sub.is("comment") {
			comment, err = sub.word("a comment")
			if err != nil {
				return err
			}
			continue
		}
		from := sub.at
		part, ok := sub.statement()
		if !ok {
			// What cannot be read may or may not match, and its end is anybody's guess.
			parts = append(parts, map[string]any{"not understood": spell(sub.tokens[from : len(sub.tokens)-1])})
			break
		}
		if part != nil {
			parts = append(parts, part)
		}
	}
	return p.builder.rule(family, table, chain, here, spell(words), parts, comment, first)
}

// statement reads one statement of a rule; ok is false where it is not understood.
func (p *parser) statement() (part any, ok bool) {
	t := p.peek()
	if t.kind != 'w' {
		return nil, false
	}
	switch t.text {
	case "accept", "drop", "return", "continue", "notrack":
		p.at++
		return map[string]any{t.text: nil}, true
	case "reject":
		p.at++
		if !p.is("with") {
			return map[string]any{"reject": nil}, true
		}
		with := p.next().text
		if with == "tcp" || p.is("type") {
			p.next()
		} else if p.peek().kind == 'w' && p.peek().text != "comment" {
			p.next()
		}
		return map[string]any{"reject": map[string]any{"type": with}}, true
	case "jump", "goto":
		p.at++
		target := p.next()
		return map[string]any{t.text: map[string]any{"target": target.text}}, target.kind == 'w' || target.kind == 's'
	case "counter":
		p.at++
		switch {
		case p.is("name"):
			return map[string]any{"counter": p.next().text}, true
		case p.is("packets"):
			p.next()
			if p.is("bytes") {
				p.next()
			}
		}
		return map[string]any{"counter": nil}, true
	case "log":
		p.at++
		for slices.Contains([]string{"prefix", "level", "group", "snaplen", "queue-threshold", "flags"}, p.peek().text) {
			p.at++
			p.next()
			for p.is(",") {
				p.next()
			}
			p.is("options")
		}
		return map[string]any{"log": nil}, true
	case "limit", "quota":
		start := p.at
		p.at++
		for slices.Contains([]string{"name", "rate", "over", "until", "burst", "used"}, p.peek().text) {
			p.at++
			if !slices.Contains([]string{"over", "until"}, p.peek().text) {
				p.next()
			}
			for slices.Contains([]string{"packets", "bytes", "kbytes", "mbytes", "bytes/second", "kbytes/second", "mbytes/second"}, p.peek().text) {
				p.at++
			}
		}
		return map[string]any{t.text: strings.TrimPrefix(spell(p.tokens[start:p.at]), t.text+" ")}, true
	case "snat", "masquerade", "dnat", "redirect", "queue", "tproxy", "synproxy", "fwd", "dup":
		p.skip()
		return map[string]any{t.text: nil}, true
	case "flow":
		p.skip()
		return map[string]any{"flow": nil}, true
	case "xt":
		words := p.skip()
		return map[string]any{"xt": map[string]any{"type": "", "name": spell(words)}}, true
	}
	return p.match()
}

// skip takes all that is left of a rule.
func (p *parser) skip() []token {
	start := p.at
	p.at = len(p.tokens) - 1
	return p.tokens[start:p.at]
}

// match reads "selector [operator] values", "selector vmap values" or "selector set value".
func (p *parser) match() (any, bool) {
	left, ok := p.left()
	if !ok {
		return nil, false
	}
	if p.is("set") { // meta mark set 1
		return map[string]any{"mangle": spell(p.skip())}, true
	}
	if p.is("vmap") {
		if t := p.peek(); t.kind == 'w' && strings.HasPrefix(t.text, "@") {
			p.at++
			return map[string]any{"vmap": map[string]any{"key": left, "data": t.text}}, true
		}
		elements, err := p.elements()
		return map[string]any{"vmap": map[string]any{"key": left, "data": map[string]any{"set": elements}}}, err == nil
	}
	if p.is("&") {
		mask, ok := p.bits()
		if !ok {
			return nil, false
		}
		left = map[string]any{"&": []any{left, mask}}
	}
	op := ""
	switch t := p.peek(); {
	case t.kind == '=' || t.kind == 'w' && t.text == "eq":
		op = "=="
	case t.kind == 'm' || t.kind == '!' || t.kind == 'w' && t.text == "ne": // "ct state ! invalid" has none of the bits
		op = "!="
	case t.kind == '<' || t.kind == 'w' && t.text == "lt":
		op = "<"
	case t.kind == 'l' || t.kind == 'w' && t.text == "le":
		op = "<="
	case t.kind == '>' || t.kind == 'w' && t.text == "gt":
		op = ">"
	case t.kind == 'g' || t.kind == 'w' && t.text == "ge":
		op = ">="
	}
	if op != "" {
		p.at++
	}
	right, ok := p.right()
	if !ok {
		return nil, false
	}
	if p.peek().kind == 'w' && p.peek().text == "/" { // tcp flags syn / syn,ack
		p.at++
		mask, ok := p.right()
		if !ok {
			return nil, false
		}
		left = map[string]any{"&": []any{left, mask}}
		if op == "" {
			op = "=="
		}
	}
	if op == "" {
		op = "=="
		if isFlags(left) { // without an operator, any of the flags
			op = "in"
		}
	}
	return map[string]any{"match": map[string]any{"op": op, "left": left, "right": right}}, true
}

func isFlags(left any) bool {
	o, _ := left.(map[string]any)
	fields, _ := o["payload"].(map[string]any)
	ct, _ := o["ct"].(map[string]any)
	return text(fields["field"]) == "flags" || text(ct["key"]) == "state"
}
