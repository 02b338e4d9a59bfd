package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// document turns a file's bytes into the mapping at its top, or reports why there is none.
func (r *reader) document(data []byte) *yaml.Node {
	if len(data) > largest {
		r.failAt(1, 1, "", fmt.Sprintf("is larger than %d KiB", largest>>10), "is this a cluster file?")
		return nil
	}
	if at, c := oddCharacter(data); at >= 0 {
		line, column := position(data, at)
		r.failAt(line, column, "", fmt.Sprintf("found the byte 0x%02x, which cannot stand in a YAML file", c), "save the file as UTF-8 text")
		return nil
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	doc, err := decode(decoder)
	if errors.Is(err, io.EOF) {
		r.failAt(1, 1, "", "is empty", "the least that a cluster file has is a line like name: demo")
		return nil
	}
	if err != nil {
		r.syntax(data, err)
		return nil
	}
	switch next, err := decode(decoder); {
	case err == nil:
		r.failAt(next.Line, next.Column, "", "a second document begins here, expected one cluster a file", "put it into a file of its own")
	case !errors.Is(err, io.EOF):
		r.syntax(data, err)
	}
	root := doc
	if doc.Kind == yaml.DocumentNode && len(doc.Content) == 1 {
		root = doc.Content[0]
	}
	switch {
	case root.Kind == yaml.MappingNode:
		r.plain(root, "")
		return root
	case root.Kind == yaml.ScalarNode && root.ShortTag() == "!!null":
		r.failAt(root.Line, root.Column, "", "is empty", "the least that a cluster file has is a line like name: demo")
	default:
		r.fail(root, "", "found "+describe(root)+", expected fields", "the least that a cluster file has is a line like name: demo")
	}
	return nil
}

// decode reads one document. The library is known to panic on a few malformed inputs;
// a person's typing error must not end the program.
func decode(decoder *yaml.Decoder) (node *yaml.Node, err error) {
	defer func() {
		if p := recover(); p != nil {
			node, err = nil, fmt.Errorf("yaml: cannot be read: %v", p)
		}
	}()
	node = &yaml.Node{}
	err = decoder.Decode(node)
	return node, err
}

var (
	errorLine     = regexp.MustCompile(`^line (\d+): `)
	unknownAnchor = regexp.MustCompile(`^unknown anchor '(.*)' referenced$`)
)

// syntax reports an error of the YAML library, which gives a line at best.
func (r *reader) syntax(data []byte, err error) {
	message := strings.TrimPrefix(err.Error(), "yaml: ")
	line, column := 1, 1
	if m := errorLine.FindStringSubmatch(message); m != nil {
		line, _ = strconv.Atoi(m[1])
		message = message[len(m[0]):]
	} else if m := unknownAnchor.FindStringSubmatch(message); m != nil {
		line, column = position(data, max(0, bytes.Index(data, []byte("*"+m[1]))))
		r.failAt(line, column, "", fmt.Sprintf("aliases (*%s) are not used in cluster files", m[1]), "write the value out; if it is a text that starts with *, put it in quotes")
		return
	}
	line = min(line, bytes.Count(data, []byte("\n"))+1)
	r.failAt(line, column, "", "is not valid YAML: "+clip(message), "look at the indentation and the quotes in this line and the one before")
}

// oddCharacter finds the first byte that YAML does not allow, or -1. The library says
// only that there is one.
func oddCharacter(data []byte) (at int, c byte) {
	for i := 0; i < len(data); {
		char, size := utf8.DecodeRune(data[i:])
		control := char < ' ' && char != '\n' && char != '\r' && char != '\t' || char == 0x7f
		if control || char == utf8.RuneError && size == 1 {
			return i, data[i]
		}
		i += size
	}
	return -1, 0
}

// position is the line and column, from 1, of an offset.
func position(data []byte, offset int) (line, column int) {
	before := data[:offset]
	line = bytes.Count(before, []byte("\n")) + 1
	column = utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:]) + 1
	return line, column
}
