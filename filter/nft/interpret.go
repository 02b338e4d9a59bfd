package nft

import (
	"slices"
	"strings"

	"craton.dev/craton/filter"
	"craton.dev/craton/packets"
)

// interpret turns the parts of a rule, in the shape of nft's JSON, into a rule.
func (b *builder) interpret(p pendingRule) *filter.Rule {
	r := &filter.Rule{Place: p.place, Text: p.text}
	if r.Text == "" {
		r.Text = describe(p.parts)
	}
	if p.note != "" {
		r.Names = append(r.Names, p.note)
	}
	for _, part := range p.parts {
		o, ok := part.(map[string]any)
		if !ok || len(o) != 1 {
			r.Conditions = append(r.Conditions, filter.Unknown(describe([]any{part})))
			continue
		}
		for kind, value := range o {
			b.part(r, p.table, kind, value, part)
		}
	}
	return r
}

// part adds one part of a rule to it.
func (b *builder) part(r *filter.Rule, table, kind string, value, whole any) {
	fields, _ := value.(map[string]any)
	switch kind {
	case "match":
		r.Conditions = append(r.Conditions, b.match(table, fields)...)
	case "vmap":
		b.verdictMap(r, table, fields)
	case "counter":
		if s := text(value); s != "" {
			r.Names = append(r.Names, s)
		} else if s := text(fields["name"]); s != "" {
			r.Names = append(r.Names, s)
		}
	case "comment":
		r.Names = append(r.Names, text(value))
	case "accept", "drop", "reject", "return", "continue", "jump", "goto":
		r.Verdict, r.Target = verdict(kind, value)
		// What a rejection is written in says which packets it can be for.
		switch text(fields["type"]) {
		case "icmp":
			r.Conditions = append(r.Conditions, filter.Condition{Any: v4Only})
		case "icmpv6":
			r.Conditions = append(r.Conditions, filter.Condition{Any: v6Only})
		case "tcp", "tcp reset":
			r.Conditions = append(r.Conditions, filter.Condition{Any: protocol(packets.TCP)})
		}
	case "snat", "masquerade":
		// Only the packet's source is another one from here on.
		r.Verdict = filter.Accept
	case "dnat", "redirect", "queue", "tproxy", "synproxy", "fwd", "notrack":
		r.Verdict = filter.Unsure
	case "not understood":
		r.Conditions = append(r.Conditions, filter.Unknown(text(value)))
		r.Verdict = filter.Unsure
	case "log", "mangle", "dup", "flow", "ct helper", "ct timeout", "ct expectation", "secmark", "meter read":
		// They change nothing about whether the packet passes here.
	case "set":
		// A packet that cannot be added to a full set does not go on; nobody sees that here.
		if text(fields["op"]) == "delete" || fields["stmt"] != nil {
			r.Conditions = append(r.Conditions, filter.Unknown(describe([]any{whole})))
		}
	default: // limit, quota, ct count, meter, xt and whatever else comes
		if kind == "xt" && text(fields["type"]) != "match" {
			r.Verdict = filter.Unsure
		}
		r.Conditions = append(r.Conditions, filter.Unknown(describe([]any{whole})))
	}
}

// verdict reads {"jump": {"target": …}} and the like.
func verdict(kind string, value any) (filter.Verdict, string) {
	switch kind {
	case "accept":
		return filter.Accept, ""
	case "drop", "reject":
		return filter.Drop, ""
	case "return":
		return filter.Return, ""
	case "continue":
		return filter.GoOn, ""
	case "jump", "goto":
		fields, _ := value.(map[string]any)
		if kind == "jump" {
			return filter.Jump, text(fields["target"])
		}
		return filter.Goto, text(fields["target"])
	}
	return filter.Unsure, ""
}

// verdictMap adds a map's cases to a rule.
func (b *builder) verdictMap(r *filter.Rule, table string, fields map[string]any) {
	data := fields["data"]
	var elements []any
	if s := text(data); strings.HasPrefix(s, "@") {
		named := b.sets[name{table, s[1:]}]
		if named == nil || named.dynamic {
			r.Conditions = append(r.Conditions, filter.Unknown("map "+s))
			r.Verdict = filter.Unsure
			return
		}
		elements = named.elements
	} else if o, ok := data.(map[string]any); ok {
		elements = list(o["set"])
	}
	for _, e := range elements {
		pair, ok := e.([]any)
		if !ok || len(pair) != 2 {
			r.Cases = append(r.Cases, filter.Case{Conditions: []filter.Condition{filter.Unknown("an element of a verdict map")}, Verdict: filter.Unsure})
			continue
		}
		c := filter.Case{Conditions: b.compare(table, fields["key"], "==", bare(pair[0])), Verdict: filter.Unsure}
		if o, ok := pair[1].(map[string]any); ok && len(o) == 1 {
			for kind, value := range o {
				c.Verdict, c.Target = verdict(kind, value)
			}
		}
		r.Cases = append(r.Cases, c)
	}
}

// bare is an element without its timeout, comment or counter.
func bare(e any) any {
	if o, ok := e.(map[string]any); ok {
		if inner, ok := o["elem"].(map[string]any); ok {
			return bare(inner["val"])
		}
	}
	return e
}

func (b *builder) match(table string, fields map[string]any) []filter.Condition {
	op := text(fields["op"])
	if op == "" {
		op = "=="
	}
	return b.compare(table, fields["left"], op, fields["right"])
}

// compare are the conditions under which a selector has one of some values: that it has,
// and what each selector implies (that a packet has a tcp port says that it is one of tcp,
// also where the port must be another one).
func (b *builder) compare(table string, left any, op string, right any) []filter.Condition {
	unknown := []filter.Condition{filter.Unknown(describe([]any{map[string]any{"match": map[string]any{"op": op, "left": left, "right": right}}}))}
	values, placeholder, ok := b.values(table, right)
	if !ok {
		if sel, known := selectors(left); known { // at least it is a packet that has such a thing
			for _, s := range sel {
				if s.implies != nil {
					unknown = append(unknown, filter.Condition{Any: s.implies})
				}
			}
		}
		return unknown
	}
	if o, is := left.(map[string]any); is && o["&"] != nil {
		return masked(list(o["&"]), op, values, unknown)
	}
	sel, ok := selectors(left)
	if !ok {
		return unknown
	}
	c := filter.Condition{Any: []filter.Tuple{}, Not: op == "!=", Placeholder: placeholder}
	var conditions []filter.Condition
	for _, s := range sel {
		if s.special != nil {
			if len(sel) > 1 {
				return unknown
			}
			return s.special(op, values, unknown)
		}
		if s.implies != nil {
			conditions = append(conditions, filter.Condition{Any: s.implies})
		}
	}
	if len(sel) == 1 {
		f, ok := sel[0].field(op, values)
		if !ok {
			return unknown
		}
		if sel[0].guess {
			if c.Not {
				f.Ranges, c.Not = others(f.Ranges), false
			}
			c.Any = []filter.Tuple{{f, havePorts}}
			c.Perhaps, c.Unknown = []filter.Tuple{{haveNone}}, unknown[0].Unknown
			return append(conditions, c)
		}
		c.Any = append(c.Any, filter.Tuple{f})
		return append(conditions, c)
	}
	if op != "==" && op != "!=" {
		return unknown
	}
	for _, v := range values {
		v = bare(v)
		parts := []any{v}
		if o, is := v.(map[string]any); is && o["concat"] != nil {
			parts = list(o["concat"])
		}
		if len(parts) != len(sel) {
			return unknown
		}
		var t, guess filter.Tuple
		for i, s := range sel {
			f, ok := s.field("==", []any{parts[i]})
			if !ok || s.guess && c.Not {
				return unknown
			}
			t = append(t, f)
			if s.guess {
				t, guess = append(t, havePorts), append(guess, haveNone)
			} else {
				guess = append(guess, f)
			}
		}
		c.Any = append(c.Any, t)
		if slices.ContainsFunc(sel, func(s selector) bool { return s.guess }) {
			c.Perhaps, c.Unknown = append(c.Perhaps, guess), unknown[0].Unknown
		}
	}
	return append(conditions, c)
}

// values are a right side's elements; those of a named set are looked up.
func (b *builder) values(table string, right any) (values []any, placeholder string, ok bool) {
	switch v := right.(type) {
	case string:
		if called, named := strings.CutPrefix(v, "@"); named {
			s := b.sets[name{table, called}]
			if s == nil || s.dynamic {
				return nil, "", false
			}
			if len(s.elements) == 0 {
				placeholder = called
			}
			return s.elements, placeholder, true
		}
	case []any:
		return v, "", true
	case map[string]any:
		if inner, is := v["set"]; is {
			if s := text(inner); strings.HasPrefix(s, "@") {
				return b.values(table, s)
			}
			return list(inner), "", true
		}
	case nil:
		return nil, "", false
	}
	return []any{right}, "", true
}
