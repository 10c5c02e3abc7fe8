// Package dotenv reads files of NAME=value lines, as .env files are.
//
// There is no standard for them; this is the part on which their readers agree,
// and what they disagree on is an error rather than a guess:
//
//	# a comment, and empty lines
//	NAME=plain text up to the end of the line, or to a # after a space
//	export NAME=as in a shell
//	NAME='single quotes: every character is itself, also $ and \'
//	NAME="double quotes: \n \r \t \\ \" \$ \` are escapes,
//	and a value may have several lines"
//
// Space around the name, and around a value without quotes, is not part of them.
// A $ is a $: nothing is expanded, and because other readers would expand it, $
// followed by a letter, _, { or ( must be in single quotes or be \$. A file may
// begin with a byte order mark; lines end in \n or \r\n, and line ends inside
// quotes become \n.
//
// Errors say the line and never show what stands there.
package dotenv

import (
	"bytes"
	"fmt"
	"unicode/utf8"
)

// Entry is one NAME=value.
type Entry struct {
	Name  string // letters, digits, _, - and ., not checked further
	Value []byte
	Line  int // where the name stands, from 1
}

// Error says what is wrong in which line.
type Error struct {
	Line   int
	Reason string
}

// Error returns the line and the reason.
func (e *Error) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Reason) }

// Parse returns the entries of the file in their order. A name that stands there
// twice is returned twice. An error is an [*Error].
func Parse(text []byte) ([]Entry, error) {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	p := &parser{line: 1, rest: bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))}
	for n, line := range bytes.Split(p.rest, []byte("\n")) {
		if !utf8.Valid(line) {
			return nil, &Error{Line: n + 1, Reason: "not UTF-8 text"}
		}
	}
	var entries []Entry
	for {
		p.space()
		switch {
		case len(p.rest) == 0:
			return entries, nil
		case p.rest[0] == '\n':
			p.advance(1)
		case p.rest[0] == '#':
			p.comment()
		default:
			e, err := p.entry()
			if err != nil {
				return nil, err
			}
			entries = append(entries, e)
		}
	}
}

type parser struct {
	rest []byte
	line int
}

func (p *parser) fail(reason string) error { return &Error{Line: p.line, Reason: reason} }

func (p *parser) advance(n int) {
	p.line += bytes.Count(p.rest[:n], []byte("\n"))
	p.rest = p.rest[n:]
}

func (p *parser) space() {
	for len(p.rest) > 0 && isSpace(p.rest[0]) {
		p.rest = p.rest[1:]
	}
}

// comment skips up to the end of the line.
func (p *parser) comment() {
	for len(p.rest) > 0 && p.rest[0] != '\n' {
		p.rest = p.rest[1:]
	}
}

func (p *parser) name() string {
	n := 0
	for n < len(p.rest) && isNameByte(p.rest[n]) {
		n++
	}
	name := string(p.rest[:n])
	p.rest = p.rest[n:]
	return name
}

func (p *parser) entry() (Entry, error) {
	name := p.name()
	if name == "export" && len(p.rest) > 0 && isSpace(p.rest[0]) {
		if after := bytes.TrimLeft(p.rest, " \t"); len(after) > 0 && after[0] != '=' {
			p.space()
			name = p.name()
		}
	}
	if name == "" {
		return Entry{}, p.fail("expected NAME=value, where NAME has letters, digits, _, - and .")
	}
	p.space()
	if len(p.rest) == 0 || p.rest[0] != '=' {
		return Entry{}, p.fail("expected = after the name")
	}
	e := Entry{Name: name, Line: p.line}
	p.rest = p.rest[1:]
	p.space()
	var err error
	switch {
	case len(p.rest) == 0:
		e.Value = []byte{}
	case p.rest[0] == '\'':
		e.Value, err = p.single()
	case p.rest[0] == '"':
		e.Value, err = p.double()
	default:
		e.Value, err = p.plain()
	}
	return e, err
}

// plain reads a value without quotes, up to the end of the line or a comment.
func (p *parser) plain() ([]byte, error) {
	line, _, _ := bytes.Cut(p.rest, []byte("\n"))
	value := line
	for i, c := range line {
		if c == '#' && (i == 0 || isSpace(line[i-1])) {
			value = line[:i]
			break
		}
	}
	value = bytes.TrimRight(value, " \t")
	for i, c := range value {
		switch {
		case c == '\'' || c == '"' || c == '`' || c == '\\':
			return nil, p.fail("a quote or backslash in a value without quotes; put the value in single quotes")
		case c == '\r' || c == 0:
			return nil, p.fail("a control character in a value without quotes")
		case c == '$' && expands(value[i:]):
			return nil, p.fail("a $ that other readers would expand; put the value in single quotes")
		}
	}
	p.rest = p.rest[len(line):]
	return bytes.Clone(value), nil
}

// single reads a value in single quotes.
func (p *parser) single() ([]byte, error) {
	end := bytes.IndexByte(p.rest[1:], '\'')
	if end < 0 {
		return nil, p.fail("a single quote that is not closed")
	}
	value := bytes.Clone(p.rest[1 : 1+end])
	p.advance(end + 2)
	return value, p.end()
}

// double reads a value in double quotes.
func (p *parser) double() ([]byte, error) {
	value := []byte{}
	for i := 1; i < len(p.rest); i++ {
		switch c := p.rest[i]; c {
		case '"':
			p.advance(i + 1)
			return value, p.end()
		case '\\':
			i++
			if i == len(p.rest) {
				return nil, p.fail("a double quote that is not closed")
			}
			switch c := p.rest[i]; c {
			case 'n':
				value = append(value, '\n')
			case 'r':
				value = append(value, '\r')
			case 't':
				value = append(value, '\t')
			case '\\', '"', '$', '`':
				value = append(value, c)
			default:
				p.advance(i)
				return nil, p.fail(`an unknown escape; in double quotes there are \n \r \t \\ \" \$ and \` + "`")
			}
		case '$':
			if expands(p.rest[i:]) {
				p.advance(i)
				return nil, p.fail(`a $ that other readers would expand; write \$ or use single quotes`)
			}
			value = append(value, c)
		default:
			value = append(value, c)
		}
	}
	return nil, p.fail("a double quote that is not closed")
}

// end checks that nothing but a comment follows a quoted value.
func (p *parser) end() error {
	before := p.rest
	p.space()
	switch {
	case len(p.rest) == 0 || p.rest[0] == '\n':
		return nil
	case p.rest[0] == '#' && len(p.rest) < len(before):
		return nil
	}
	return p.fail("text after the closing quote")
}

// expands reports whether a shell or another reader would replace the $ that b
// begins with.
func expands(b []byte) bool {
	if len(b) < 2 {
		return false
	}
	c := b[1]
	return c == '{' || c == '(' || c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' }

func isNameByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-' || c == '.'
}
