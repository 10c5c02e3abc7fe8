package secretstore

import (
	"bytes"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"unicode/utf8"
)

// The largest sizes of a value, in bytes. They are Azure Key Vault's limit for
// a secret, kept on every backend so that what works offline works in the cloud.
const (
	// MaxTextLen holds for a value that is valid UTF-8, which is stored as it is.
	MaxTextLen = 25600
	// MaxBinaryLen holds for any other value: it is stored as base64, which
	// makes 4 bytes of 3.
	MaxBinaryLen = 19200
)

const redacted = "[redacted]"

// Value is the value of a secret: any bytes, also none.
//
// It can't be printed by accident. Every verb of fmt, slog, JSON and the other
// text encodings show "[redacted]", wherever the Value stands; reflection, go-spew
// and the diffs of testing packages reach no bytes. The one way out is [Value.Reveal].
// A Value does not promise to be erased from memory: the garbage collector gives
// no such guarantee.
//
// A Value is immutable and safe for concurrent use. The zero Value is the empty
// secret. Compare Values with [Value.Equal]: == does not compile, and
// [reflect.DeepEqual] is false, but for two zero Values.
type Value struct {
	// The bytes stand behind a function because fmt ignores the methods of what
	// it reaches through unexported fields, and go-spew follows pointers and
	// slices; neither can look into a closure.
	reveal func() []byte
}

// NewValue returns a Value with a copy of b. To turn a string into a Value,
// convert it: NewValue([]byte(s)). Take it from where the secret comes in (an
// environment variable, standard input, a file), never from source.
func NewValue(b []byte) Value {
	b = bytes.Clone(b)
	return Value{reveal: func() []byte { return b }}
}

func (v Value) bytes() []byte {
	if v.reveal == nil {
		return nil
	}
	return v.reveal()
}

// Reveal returns the bytes of the secret, in a new slice that the caller owns.
func (v Value) Reveal() []byte {
	return append([]byte{}, v.bytes()...)
}

// Len returns the number of bytes.
func (v Value) Len() int { return len(v.bytes()) }

// Equal reports whether v and w hold the same bytes. The time that it takes
// depends on their lengths alone.
func (v Value) Equal(w Value) bool {
	return subtle.ConstantTimeCompare(v.bytes(), w.bytes()) == 1
}

// String returns "[redacted]".
func (Value) String() string { return redacted }

// Format writes "[redacted]", whatever the verb and flags.
func (Value) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// LogValue returns "[redacted]" for log/slog.
func (Value) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns "[redacted]", for JSON and every encoding that asks for
// text. There is no way back: a Value is not read from a document.
func (Value) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// EncodeText returns the text under which a service that stores strings keeps
// the value: the value as it is where it is valid UTF-8, and its base64 (RFC
// 4648, section 4) otherwise. The driver stores the mark binary beside the text.
// Like Reveal, it returns the secret in clear.
func EncodeText(v Value) (text string, binary bool) {
	b := v.bytes()
	if utf8.Valid(b) {
		return string(b), false
	}
	return base64.StdEncoding.EncodeToString(b), true
}

// DecodeText is the reverse of [EncodeText]. Text with the mark that is not
// base64 is [ErrCorrupt].
func DecodeText(text string, binary bool) (Value, error) {
	if !binary {
		return NewValue([]byte(text)), nil
	}
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return Value{}, &Error{Kind: ErrCorrupt, Detail: "the value is marked as base64 and is not"}
	}
	return NewValue(b), nil
}

// checkSize returns nil, or an error of kind ErrTooLarge.
func checkSize(name string, v Value) *Error {
	b := v.bytes()
	switch {
	case len(b) <= MaxBinaryLen:
		return nil
	case len(b) > MaxTextLen:
		return &Error{Name: name, Kind: ErrTooLarge,
			Detail: fmt.Sprintf("%d bytes; a value has at most %d", len(b), MaxTextLen)}
	case !utf8.Valid(b):
		return &Error{Name: name, Kind: ErrTooLarge,
			Detail: fmt.Sprintf("%d bytes; a value that is not UTF-8 text has at most %d", len(b), MaxBinaryLen)}
	}
	return nil
}
