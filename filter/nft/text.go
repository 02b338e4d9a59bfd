package nft

import (
	"fmt"
	"strconv"

	"craton.dev/craton/filter"
)

// parser reads the text form.
type parser struct {
	*builder
	tokens []token
	at     int
	vars   map[string][]token
	deep   int // how many variables and braces are open
}

func (b *builder) readText(data []byte) error {
	tokens, err := lex(b.file, data)
	if err != nil {
		return err
	}
	p := &parser{builder: b, tokens: tokens, vars: map[string][]token{}}
	for p.peek().kind != 0 {
		if p.peek().kind == 'n' {
			p.at++
			continue
		}
		if err := p.command(); err != nil {
			return err
		}
	}
	return nil
}

func (p *parser) peek() token { return p.tokens[p.at] }

func (p *parser) next() token {
	t := p.tokens[p.at]
	if t.kind != 0 {
		p.at++
	}
	return t
}

func (p *parser) here() filter.Place { return filter.Place{File: p.file, Line: p.peek().line} }

// is tells whether the next token is a word or sign, and takes it if so.
func (p *parser) is(text string) bool {
	if t := p.peek(); t.text == text && t.kind != 's' && t.kind != 0 {
		p.at++
		return true
	}
	return false
}

func (p *parser) fail(t token, want string) error {
	return fmt.Errorf("%s:%d: expected %s, found %s", p.file, t.line, want, t)
}

// word takes a word or a string.
func (p *parser) word(what string) (string, error) {
	t := p.next()
	if t.kind != 'w' && t.kind != 's' {
		return "", p.fail(t, what)
	}
	return t.text, nil
}

func (p *parser) sign(sign string) error {
	if t := p.next(); t.text != sign || t.kind == 's' {
		return p.fail(t, strconv.Quote(sign))
	}
	return nil
}

// lines skips ends of lines.
func (p *parser) lines() {
	for p.peek().kind == 'n' {
		p.at++
	}
}

// rest takes the tokens up to the end of the statement; braces keep lines together.
func (p *parser) rest() ([]token, error) {
	start, open := p.at, 0
	for {
		t := p.peek()
		switch {
		case t.kind == 0:
			if open > 0 {
				return nil, p.fail(t, `"}"`)
			}
			return p.tokens[start:p.at], nil
		case t.kind == 'n' && open == 0, t.kind == '}' && open == 0:
			return p.tokens[start:p.at], nil
		case t.kind == '{':
			open++
		case t.kind == '}':
			open--
		}
		p.at++
	}
}

// command reads one statement of a file's top level.
func (p *parser) command() error {
	here, t := p.here(), p.next()
	switch t.text {
	case "table":
		return p.table(here)
	case "add", "create", "insert":
		return p.add(here, t.text == "insert")
	case "define", "redefine":
		called, err := p.word("a variable's name")
		if err != nil {
			return err
		}
		if err := p.sign("="); err != nil {
			return err
		}
		p.vars[called], err = p.rest()
		return err
	case "flush", "delete", "destroy":
		words, err := p.rest()
		if err != nil {
			return err
		}
		switch {
		case t.text == "flush" && len(words) > 0 && words[0].text == "ruleset" && len(words) == 1:
			p.flush()
		case t.text != "flush" && len(words) > 1 && words[0].text == "table":
			family, called := "ip", words[1].text
			if len(words) > 2 {
				family, called = words[1].text, words[2].text
			}
			p.deleteTable(family + " " + called)
		default:
			p.note(here, "not understood: %s", spell(append([]token{t}, words...)))
		}
		return nil
	case "rule", "chain", "set", "map", "element":
		p.at--
		return p.add(here, false)
	}
	if t.kind != 'w' {
		return p.fail(t, "a table or a command")
	}
	words, err := p.rest()
	if err != nil {
		return err
	}
	if p.peek().kind == '}' {
		return p.fail(p.peek(), "a table or a command")
	}
	if t.text == "include" {
		p.note(here, "not read: include %s: name that file too", spell(words))
		return nil
	}
	p.note(here, "not understood: %s", spell(append([]token{t}, words...)))
	return nil
}
