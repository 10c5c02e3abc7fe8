// Package redact keeps the values of secrets out of what a program writes and
// logs.
//
// [NewWriter] masks them in a stream of bytes, such as the output of a child
// process. [NewHandler] masks them in the records of log/slog, before a handler
// escapes them. Both look for the exact bytes of each value: one that was
// encoded (base64, hex, JSON or URL escapes, \n turned into \r\n) is not found.
//
// Three rules hold for both:
//
//   - Every byte of every occurrence of every secret is masked, also where
//     occurrences overlap. A run of masked bytes, however long and of however
//     many secrets, becomes one [Mask], so that the output tells no lengths.
//   - Line breaks at the end of a value are not part of what is looked for: the
//     secret of a file that ends in a newline is found without it, and the
//     newline stays in the output.
//   - An empty value is ignored, and any other is masked, also one of a single
//     byte. A caller who would rather have readable output than a masked "1"
//     leaves short values out.
package redact

import (
	"bytes"

	"github.com/mlsecrets/secretstore"
)

// Mask is what stands in the place of secrets.
const Mask = "[redacted]"

// matcher finds the secrets in a stream of bytes. It is an Aho-Corasick
// automaton, immutable once made, of about 24 bytes for each byte of the
// secrets. Children are linked lists and not tables because almost every node of
// a trie of secrets has one child, and a table of 256 for each byte of a 25 KB
// value would be 25 MB.
type matcher struct {
	nodes []node
	first [256]int32 // children of the root, 0 where there is none
}

// node stands for a prefix of a secret. Node 0 is the root, the empty prefix.
type node struct {
	fail    int32 // the longest proper suffix of this prefix that is a prefix too
	child   int32 // the first child, or 0
	sibling int32 // the next child of the same parent, or 0
	depth   int32 // the length of the prefix
	match   int32 // the length of the longest secret that ends here, or 0
	char    byte  // the last byte of the prefix
}

func newMatcher(secrets []secretstore.Value) *matcher {
	m := &matcher{nodes: make([]node, 1)}
	for _, s := range secrets {
		m.add(bytes.TrimRight(s.Reveal(), "\r\n"))
	}
	m.link()
	return m
}

func (m *matcher) add(secret []byte) {
	if len(secret) == 0 {
		return
	}
	at := int32(0)
	for i, c := range secret {
		next := m.child(at, c)
		if next == 0 {
			next = int32(len(m.nodes))
			n := node{depth: int32(i + 1), char: c}
			if at == 0 {
				m.first[c] = next
			} else {
				n.sibling = m.nodes[at].child
				m.nodes[at].child = next
			}
			m.nodes = append(m.nodes, n)
		}
		at = next
	}
	m.nodes[at].match = int32(len(secret))
}

// link fills in fail and match, breadth first, so that a node's shorter suffixes
// are complete before it.
func (m *matcher) link() {
	queue := make([]int32, 0, len(m.nodes))
	for _, n := range m.first {
		if n != 0 {
			queue = append(queue, n)
		}
	}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		for n := m.nodes[at].child; n != 0; n = m.nodes[n].sibling {
			fail := m.next(m.nodes[at].fail, m.nodes[n].char)
			m.nodes[n].fail = fail
			if m.nodes[n].match == 0 {
				m.nodes[n].match = m.nodes[fail].match
			}
			queue = append(queue, n)
		}
	}
}

// child returns the child of the node for c, or 0.
func (m *matcher) child(at int32, c byte) int32 {
	if at == 0 {
		return m.first[c]
	}
	n := m.nodes[at].child
	for n != 0 && m.nodes[n].char != c {
		n = m.nodes[n].sibling
	}
	return n
}

// next returns the node for the longest suffix of what was read, with c, that
// is a prefix of a secret.
func (m *matcher) next(at int32, c byte) int32 {
	for {
		if n := m.child(at, c); n != 0 || at == 0 {
			return n
		}
		at = m.nodes[at].fail
	}
}

// mask returns b with the secrets masked, and whether there were any.
func (m *matcher) mask(b []byte) ([]byte, bool) {
	s := stream{matcher: m}
	out := s.write(nil, b)
	out = s.flush(out)
	return out, s.found
}
