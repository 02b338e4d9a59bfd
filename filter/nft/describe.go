package nft

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// describe writes parts of a rule much as nft would, for people.
func describe(parts []any) string {
	var out []string
	for _, p := range parts {
		out = append(out, word(p, 0))
	}
	s := strings.Join(out, " ")
	const most = 300
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + " …"
	}
	return s
}

// word is one value. Depth guards against what is nested without end.
func word(v any, depth int) string {
	if depth > 8 {
		return "…"
	}
	in := func(v any) string { return word(v, depth+1) }
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case bool: // of what may be there
		return map[bool]string{true: "exists", false: "missing"}[v]
	case []any:
		var out []string
		for i, e := range v {
			if i == 8 {
				out = append(out, fmt.Sprintf("… (%d)", len(v)))
				break
			}
			out = append(out, in(e))
		}
		return strings.Join(out, ", ")
	case map[string]any:
		var out []string
		for _, kind := range slices.Sorted(maps.Keys(v)) {
			out = append(out, object(kind, v[kind], in))
		}
		return strings.Join(out, " ")
	}
	return fmt.Sprint(v)
}

func object(kind string, value any, in func(any) string) string {
	fields, _ := value.(map[string]any)
	if fields == nil {
		fields = map[string]any{}
	}
	switch kind {
	case "match":
		op := text(fields["op"])
		if op == "==" || op == "in" || op == "" {
			return in(fields["left"]) + " " + in(fields["right"])
		}
		return in(fields["left"]) + " " + op + " " + in(fields["right"])
	case "payload":
		return strings.TrimSpace(text(fields["protocol"]) + " " + text(fields["field"]))
	case "meta":
		if key := text(fields["key"]); strings.HasPrefix(key, "iif") || strings.HasPrefix(key, "oif") {
			return key
		}
		return "meta " + text(fields["key"])
	case "ct":
		return strings.Join(strings.Fields("ct "+text(fields["dir"])+" "+text(fields["key"])), " ")
	case "fib":
		return "fib " + strings.ReplaceAll(in(fields["flags"]), ", ", " . ") + " " + text(fields["result"])
	case "set":
		if fields["op"] != nil {
			return text(fields["op"]) + " " + in(fields["set"]) + " { " + in(fields["elem"]) + " }"
		}
		return "{ " + in(value) + " }"
	case "prefix":
		return in(fields["addr"]) + "/" + in(fields["len"])
	case "range":
		ends := list(value)
		if len(ends) == 2 {
			return in(ends[0]) + "-" + in(ends[1])
		}
	case "concat":
		return strings.ReplaceAll(in(value), ", ", " . ")
	case "jump", "goto":
		return kind + " " + in(fields["target"])
	case "vmap":
		return in(fields["key"]) + " vmap " + in(fields["data"])
	case "counter":
		if s := text(value); s != "" {
			return "counter name " + s
		}
		return "counter"
	case "elem":
		return in(fields["val"])
	case "not understood":
		return in(value)
	}
	if value == nil {
		return kind
	}
	return strings.TrimSpace(kind + " " + in(value))
}
