package nft

import (
	"fmt"
	"strings"
)

// token is a word of nft's language. kind is 'w' for a word, 's' for a quoted string, 'n'
// for what ends a statement (a line's end or ;), 0 for the end of the file, and else the
// sign itself: { } ( ) , : = ! < > & | ^ with = for ==, and m, l, g for !=, <=, >=.
type token struct {
	kind byte
	text string
	line int
}

func (t token) String() string {
	switch t.kind {
	case 0:
		return "the end of the file"
	case 'n':
		return "the end of the line"
	}
	return fmt.Sprintf("%q", t.text)
}

// lex cuts a file into tokens. An error names the line.
func lex(file string, data []byte) ([]token, error) {
	var out []token
	line := 1
	add := func(kind byte, s string) { out = append(out, token{kind, s, line}) }
	for i := 0; i < len(data); {
		c := data[i]
		rest := data[i:]
		switch {
		case c == '\n' || c == ';':
			add('n', ";")
			if c == '\n' {
				line++
			}
			i++
		case c == ' ' || c == '\t' || c == '\r':
			i++
		case c == '\\' && len(rest) > 1 && (rest[1] == '\n' || rest[1] == '\r'):
			i++
			for i < len(data) && data[i] != '\n' {
				i++
			}
			i++
			line++
		case c == '#':
			for i < len(data) && data[i] != '\n' {
				i++
			}
		case c == '"':
			end := 1
			for end < len(rest) && rest[end] != '"' && rest[end] != '\n' {
				end++
			}
			if end == len(rest) || rest[end] == '\n' {
				return nil, fmt.Errorf("%s:%d: a string has no end: expected a second \"", file, line)
			}
			add('s', string(rest[1:end]))
			i += end + 1
		case len(rest) > 1 && strings.Contains("== != <= >=", string(rest[:2])) && rest[1] == '=':
			add(map[byte]byte{'=': '=', '!': 'm', '<': 'l', '>': 'g'}[c], string(rest[:2]))
			i += 2
		case strings.IndexByte("{}(),=!<>&|^", c) >= 0:
			add(c, string(c))
			i++
		case c == ':' && (len(rest) == 1 || rest[1] != ':'):
			add(':', ":")
			i++
		case c < ' ' || c == 0x7f:
			return nil, fmt.Errorf("%s:%d: a byte %#x: expected the text of a ruleset", file, line, c)
		default:
			end := 0
			for end < len(rest) && strings.IndexByte(" \t\r\n;#\"{}(),=!<>&|^", rest[end]) < 0 {
				// A colon belongs to an address (fe80::1), and otherwise stands alone.
				if rest[end] == ':' && !colonInside(rest, end) {
					break
				}
				end++
			}
			add('w', string(rest[:end]))
			i += end
		}
	}
	line++
	add('n', ";")
	add(0, "")
	return out, nil
}

// colonInside tells whether the colon at i is part of an address of IPv6.
func colonInside(s []byte, i int) bool {
	hex := func(j int) bool {
		return j >= 0 && j < len(s) && (s[j] == ':' || s[j] >= '0' && s[j] <= '9' || s[j] >= 'a' && s[j] <= 'f' || s[j] >= 'A' && s[j] <= 'F')
	}
	if i > 0 && s[i-1] == ':' {
		return true
	}
	return hex(i+1) && (i == 0 || hex(i-1))
}
