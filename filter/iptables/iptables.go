// Package iptables reads the rules of iptables and ip6tables as iptables-save writes them.
//
// It knows the matches that firewalls are made of; what it does not know it keeps as a
// condition that may or may not hold, as the extension's name says nothing of its effect.
// It runs no program and opens no file.
package iptables

import (
	"bufio"
	"bytes"
	"fmt"
	"strings"

	"craton.dev/craton/filter"
)

// maxLine is how long a line may be.
const maxLine = 1 << 20

// hooks are the built-in chains of each table, with the priority at which they run.
var hooks = map[string]map[string]struct {
	hook     string
	priority int
}{
	"raw":      {"PREROUTING": {"prerouting", -300}, "OUTPUT": {"output", -300}},
	"mangle":   {"PREROUTING": {"prerouting", -150}, "INPUT": {"input", -150}, "FORWARD": {"forward", -150}, "OUTPUT": {"output", -150}, "POSTROUTING": {"postrouting", -150}},
	"nat":      {"PREROUTING": {"prerouting", -100}, "INPUT": {"input", 100}, "OUTPUT": {"output", -100}, "POSTROUTING": {"postrouting", 100}},
	"filter":   {"INPUT": {"input", 0}, "FORWARD": {"forward", 0}, "OUTPUT": {"output", 0}},
	"security": {"INPUT": {"input", 50}, "FORWARD": {"forward", 50}, "OUTPUT": {"output", 50}},
}

// reader collects a file's chains.
type reader struct {
	file   string
	family filter.Families
	table  string // "" outside of a table
	rules  filter.Ruleset
	chains map[string]*filter.Chain // by table and name
}

// Read reads a file. file is its name for errors and places; an error names its line.
func Read(file string, data []byte) (*filter.Ruleset, error) {
	r := &reader{file: file, family: filter.V4, chains: map[string]*filter.Chain{}}
	if !bytes.Contains(data, []byte("tables-save")) && bytes.Contains(data, []byte("::")) {
		r.family = filter.V6 // no header says so, but the addresses do
	}
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, maxLine)
	n := 0
	for lines.Scan() {
		n++
		if err := r.line(strings.TrimSpace(lines.Text()), n); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", file, n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s:%d: %w", file, n+1, err)
	}
	if r.table != "" {
		return nil, fmt.Errorf("%s:%d: table %s has no COMMIT: the file ends in the middle", file, n, r.table)
	}
	if len(r.rules.Chains) == 0 {
		return nil, fmt.Errorf("%s:%d: there is no table: expected what iptables-save writes", file, n)
	}
	r.targets()
	return &r.rules, nil
}

func (r *reader) line(text string, n int) error {
	switch {
	case text == "":
	case text[0] == '#':
		if strings.Contains(text, "ip6tables-save") {
			r.family = filter.V6
		} else if strings.Contains(text, "iptables-save") {
			r.family = filter.V4
		}
	case text[0] == '*':
		if r.table != "" {
			return fmt.Errorf("table %s begins before the one before it ended: expected COMMIT", text[1:])
		}
		r.table = text[1:]
		if hooks[r.table] == nil {
			return fmt.Errorf("table %q is not known: expected raw, mangle, nat, filter or security", r.table)
		}
	case text == "COMMIT":
		if r.table == "" {
			return fmt.Errorf("COMMIT without a table")
		}
		r.table = ""
	case r.table == "":
		return fmt.Errorf("%.60q stands in no table: expected *filter or the like", text)
	case text[0] == ':':
		return r.chain(strings.Fields(text[1:]), n)
	default:
		return r.rule(text, n)
	}
	return nil
}

// full is a table's name with its family.
func (r *reader) full() string {
	if r.family == filter.V6 {
		return "ip6 " + r.table
	}
	return "ip " + r.table
}

func (r *reader) chain(words []string, n int) error {
	if len(words) < 2 {
		return fmt.Errorf("expected a chain's name and policy")
	}
	c := &filter.Chain{Table: r.full(), Name: words[0], Families: r.family, Policy: filter.Accept, Place: filter.Place{File: r.file, Line: n}}
	if h, ok := hooks[r.table][words[0]]; ok {
		c.Hook, c.Priority = h.hook, h.priority
	}
	switch words[1] {
	case "ACCEPT", "-":
	case "DROP":
		c.Policy = filter.Drop
	default:
		return fmt.Errorf("chain %s: policy %q: expected ACCEPT, DROP or -", words[0], words[1])
	}
	key := c.Table + " " + c.Name
	if r.chains[key] != nil {
		return fmt.Errorf("chain %s is there twice", words[0])
	}
	r.chains[key] = c
	r.rules.Chains = append(r.rules.Chains, c)
	return nil
}

func (r *reader) rule(text string, n int) error {
	words, err := split(text)
	if err != nil {
		return err
	}
	if len(words) > 0 && strings.HasPrefix(words[0], "[") { // [packets:bytes]
		words = words[1:]
	}
	if len(words) < 2 || words[0] != "-A" && words[0] != "-I" {
		return fmt.Errorf("%.60q: expected -A and a chain", text)
	}
	c := r.chains[r.full()+" "+words[1]]
	if c == nil {
		return fmt.Errorf("a rule of chain %q, which table %s does not have", words[1], r.table)
	}
	own := &filter.Rule{Place: filter.Place{File: r.file, Line: n}, Text: text}
	p := parser{words: words[2:], rule: own, family: r.family}
	if err := p.parse(); err != nil {
		return err
	}
	if words[0] == "-I" {
		c.Rules = append([]*filter.Rule{own}, c.Rules...)
		return nil
	}
	c.Rules = append(c.Rules, own)
	return nil
}

// targets turns the names of rules' targets into verdicts, now that all chains are known.
func (r *reader) targets() {
	for _, c := range r.rules.Chains {
		for _, rule := range c.Rules {
			if rule.Verdict == filter.Goto || rule.Target == "" {
				continue
			}
			if r.chains[c.Table+" "+rule.Target] != nil {
				rule.Verdict = filter.Jump
				continue
			}
			v, known := verdicts[rule.Target]
			if !known {
				v = filter.Unsure
				rule.Conditions = append(rule.Conditions, filter.Unknown("target "+rule.Target))
			}
			rule.Verdict, rule.Target = v, ""
		}
	}
}

// verdicts are those of targets that are no chains.
var verdicts = map[string]filter.Verdict{
	"ACCEPT": filter.Accept, "DROP": filter.Drop, "REJECT": filter.Drop, "RETURN": filter.Return,
	"LOG": filter.GoOn, "NFLOG": filter.GoOn, "ULOG": filter.GoOn, "MARK": filter.GoOn, "CONNMARK": filter.GoOn, "TCPMSS": filter.GoOn,
	"DSCP": filter.GoOn, "TOS": filter.GoOn, "CLASSIFY": filter.GoOn, "SET": filter.GoOn, "TRACE": filter.GoOn, "CHECKSUM": filter.GoOn,
	"TTL": filter.GoOn, "HL": filter.GoOn, "AUDIT": filter.GoOn, "SECMARK": filter.GoOn, "CONNSECMARK": filter.GoOn,
	// The sender's address is another one from here on; the packet passes.
	"SNAT": filter.Accept, "MASQUERADE": filter.Accept,
	"DNAT": filter.Unsure, "REDIRECT": filter.Unsure, "NETMAP": filter.Unsure, "TPROXY": filter.Unsure, "NFQUEUE": filter.Unsure, "QUEUE": filter.Unsure,
	"NOTRACK": filter.Unsure, "CT": filter.Unsure,
}

// split cuts a line into words, as a shell would: "a b" is one.
func split(text string) ([]string, error) {
	var words []string
	for i := 0; i < len(text); {
		if text[i] == ' ' || text[i] == '\t' {
			i++
			continue
		}
		var b strings.Builder
		quoted := false
		for ; i < len(text) && (quoted || text[i] != ' ' && text[i] != '\t'); i++ {
			switch {
			case text[i] == '"':
				quoted = !quoted
			case text[i] == '\\' && quoted && i+1 < len(text):
				i++
				b.WriteByte(text[i])
			default:
				b.WriteByte(text[i])
			}
		}
		if quoted {
			return nil, fmt.Errorf("a string has no end: expected a second \"")
		}
		words = append(words, b.String())
	}
	return words, nil
}
