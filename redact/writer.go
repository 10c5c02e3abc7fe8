package redact

import (
	"errors"
	"io"
	"sync"

	"github.com/mlsecrets/secretstore"
)

// Writer masks secrets in what is written to it and passes the rest on. It is
// safe for concurrent use; a Write is one piece of the stream.
//
// It finds a secret however the writes split it. For that it holds back the last
// bytes written while they may be the start of a secret, and nothing else, until
// the next Write or Close decides. It holds them for as long as that takes: a
// time limit would let through the halves of a secret that is written slowly.
type Writer struct {
	mu     sync.Mutex
	w      io.Writer
	stream stream
	out    []byte
	err    error
}

// NewWriter returns a Writer that passes on to w what is written, with each of
// the secrets masked. The caller must call [Writer.Close] at the end.
func NewWriter(w io.Writer, secrets ...secretstore.Value) *Writer {
	return &Writer{w: w, stream: stream{matcher: newMatcher(secrets)}}
}

var errClosed = errors.New("redact: write after close")

// Write takes all of p, or fails. After an error of the writer below, each Write
// returns that error.
func (w *Writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return 0, w.err
	}
	w.out = w.stream.write(w.out[:0], p)
	if err := w.pass(); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Close writes what is held back. It does not close the writer below. A Write
// afterwards fails; a second Close returns nil.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == errClosed {
		return nil
	}
	err := w.err
	if err == nil {
		w.out = w.stream.flush(w.out[:0])
		err = w.pass()
	}
	w.err = errClosed
	return err
}

// pass writes w.out to the writer below.
func (w *Writer) pass() error {
	if len(w.out) == 0 {
		return nil
	}
	n, err := w.w.Write(w.out)
	if err == nil && n < len(w.out) {
		err = io.ErrShortWrite
	}
	w.err = err
	return err
}

// stream is the state of masking one stream of bytes. All offsets count from the
// start of the stream.
type stream struct {
	*matcher
	at     int32  // the node of the matcher
	held   []byte // what is not decided yet
	base   int64  // the offset of held[0]
	spans  []span // the occurrences in held: sorted, apart from each other
	masked bool   // the byte before base was masked
	found  bool   // there was an occurrence
}

type span struct{ start, end int64 }

// write takes p and appends to out what is decided.
func (s *stream) write(out, p []byte) []byte {
	s.held = append(s.held, p...)
	pos := s.base + int64(len(s.held)-len(p))
	for _, c := range p {
		pos++
		if s.at == 0 {
			s.at = s.first[c]
		} else {
			s.at = s.next(s.at, c)
		}
		if s.at != 0 {
			if n := s.nodes[s.at].match; n != 0 {
				s.add(span{pos - int64(n), pos})
			}
		}
	}
	// A secret that is not complete yet can't start before this.
	return s.emit(out, pos-int64(s.nodes[s.at].depth))
}

// flush appends to out what is held back.
func (s *stream) flush(out []byte) []byte {
	s.at = 0
	return s.emit(out, s.base+int64(len(s.held)))
}

// add records an occurrence that ends at the current byte.
func (s *stream) add(o span) {
	s.found = true
	// What lies before base went out, and masked.
	o.start = max(o.start, s.base)
	for n := len(s.spans); n > 0 && s.spans[n-1].end >= o.start; n-- {
		o.start = min(o.start, s.spans[n-1].start)
		s.spans = s.spans[:n-1]
	}
	s.spans = append(s.spans, o)
}

// emit appends to out what lies before the limit, and the rest of an occurrence
// that reaches over it, which is masked whatever follows.
func (s *stream) emit(out []byte, limit int64) []byte {
	start, done := s.base, 0
	for _, o := range s.spans {
		if o.start > limit {
			break
		}
		if o.start > start {
			out = append(out, s.held[start-s.base:o.start-s.base]...)
			s.masked = false
		}
		if !s.masked {
			out = append(out, Mask...)
			s.masked = true
		}
		start = o.end
		done++
	}
	if start < limit {
		out = append(out, s.held[start-s.base:limit-s.base]...)
		s.masked = false
		start = limit
	}
	s.spans = append(s.spans[:0], s.spans[done:]...)
	s.held = append(s.held[:0], s.held[start-s.base:]...)
	s.base = start
	return out
}
