package nft

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"craton.dev/craton/filter"
)

// readJSON reads what nft -j prints or takes: {"nftables": [object or command, …]}.
func (b *builder) readJSON(data []byte) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	fail := func(err error) error {
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			err = fmt.Errorf("the file ends in the middle")
		}
		return fmt.Errorf("%s:%d: this is no JSON of nft's: %w", b.file, 1+bytes.Count(data[:min(int(d.InputOffset()), len(data))], []byte("\n")), err)
	}
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return fail(orElse(err, "expected an object"))
	}
	found := false
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return fail(err)
		}
		if key != "nftables" {
			var other any
			if err := d.Decode(&other); err != nil {
				return fail(err)
			}
			continue
		}
		found = true
		if t, err := d.Token(); err != nil || t != json.Delim('[') {
			return fail(orElse(err, `expected a list in "nftables"`))
		}
		for i := 0; d.More(); i++ {
			var object map[string]any
			if err := d.Decode(&object); err != nil {
				return fail(err)
			}
			if err := b.object(object, i); err != nil {
				return err
			}
		}
		if _, err := d.Token(); err != nil {
			return fail(err)
		}
	}
	if _, err := d.Token(); err != nil {
		return fail(err)
	}
	if !found {
		return fail(fmt.Errorf(`expected a list "nftables"`))
	}
	return nil
}

func orElse(err error, text string) error {
	if err != nil {
		return err
	}
	return fmt.Errorf("%s", text)
}

// object reads one object of a listing, or one command with an object in it.
func (b *builder) object(o map[string]any, i int) error {
	for kind, value := range o {
		fields, _ := value.(map[string]any)
		here := filter.Place{File: b.file, Name: fmt.Sprintf("object %d", i+1)}
		switch kind {
		case "metainfo":
		case "add", "create":
			return b.object(fields, i)
		case "insert":
			if rule, ok := fields["rule"].(map[string]any); ok {
				return b.jsonRule(rule, here, true)
			}
			return b.object(fields, i)
		case "flush":
			if _, ok := fields["ruleset"]; ok {
				b.flush()
				continue
			}
			b.note(here, "flush of a part is not understood")
		case "delete":
			if t, ok := fields["table"].(map[string]any); ok {
				b.deleteTable(text(t["family"]) + " " + text(t["name"]))
				continue
			}
			b.note(here, "delete of a part is not understood")
		case "table":
			b.table(text(fields["family"]), text(fields["name"]), here)
		case "chain":
			here.Name = "chain " + text(fields["name"])
			priority, _ := number(fields["prio"])
			if err := b.chain(text(fields["family"]), text(fields["table"]), text(fields["name"]), text(fields["hook"]), int(priority), text(fields["policy"]), here); err != nil {
				return err
			}
		case "rule":
			if err := b.jsonRule(fields, here, false); err != nil {
				return err
			}
		case "set", "map":
			dynamic := false
			for _, f := range list(fields["flags"]) {
				dynamic = dynamic || f == "dynamic" || f == "timeout"
			}
			b.set(text(fields["family"]), text(fields["table"]), text(fields["name"]), list(fields["elem"]), dynamic)
		case "element":
			b.set(text(fields["family"]), text(fields["table"]), text(fields["name"]), list(fields["elem"]), false)
		case "counter", "quota", "limit", "flowtable", "ct helper", "ct timeout", "ct expectation", "secmark", "synproxy":
			// They have no effect until a rule names them.
		default:
			b.note(here, "%q is not known", kind)
		}
	}
	return nil
}

func (b *builder) jsonRule(fields map[string]any, here filter.Place, first bool) error {
	here.Name = "chain " + text(fields["chain"])
	if h := text(fields["handle"]); h != "" {
		here.Name += ", handle " + h
	}
	return b.rule(text(fields["family"]), text(fields["table"]), text(fields["chain"]), here, "", list(fields["expr"]), text(fields["comment"]), first)
}

// text, number and list read a value of JSON as what is expected; of another kind they are
// empty.
func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	}
	return ""
}

func number(v any) (int64, bool) {
	switch v := v.(type) {
	case json.Number:
		n, err := v.Int64()
		return n, err == nil
	case int:
		return int64(v), true
	}
	return 0, false
}

func list(v any) []any {
	switch v := v.(type) {
	case []any:
		return v
	case nil:
		return nil
	}
	return []any{v}
}
