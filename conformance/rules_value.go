package conformance

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/mlsecrets/secretstore"
)

var allBytes = func() []byte {
	b := make([]byte, 256)
	for i := range b {
		b[i] = byte(i)
	}
	return b
}()

// specials are values that some layer might want to change.
var specials = []struct{ what, value string }{
	{"one byte", "x"},
	{"NUL", "\x00"},
	{"NUL inside", "a\x00b"},
	{"all 256 bytes", string(allBytes)},
	{"invalid UTF-8", "caf\xe9 \xff\xfe"},
	{"half a character", "\xe2\x82"},
	{"a surrogate in UTF-8", "\xed\xa0\x80"},
	{"replacement character", "\uFFFD"},
	{"CRLF", "a\r\nb\r\n"},
	{"trailing newline", "secret\n"},
	{"two trailing newlines", "secret\n\n"},
	{"leading and trailing space", "  secret \t"},
	{"BOM", "\uFEFFsecret"},
	{"decomposed accents", "cafe\u0301"},
	{"emoji", "🔑 ключ 鍵"},
	{"JSON", `{"value": "x", "n": 12345678901234567890}`},
	{"JSON string", `"quoted"`},
	{"JSON null", "null"},
	{"number", "12345678901234567890"},
	{"HTML", "<a href='x'>&amp;</a>\u2028"},
	{"PEM", "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\n"},
	{"base64", "c2VjcmV0"},
	{"a reference to Vault", "vault:secret/data/x#value"},
	{"a reference to 1Password", "op://vault/item/field"},
	{"a shell expansion", "$HOME ${HOME} $(id) `id` %PATH%"},
	{"a format", "%s %d %!v(MISSING) {{.}}"},
	{"escapes", `\n \u0041 \\ \x00`},
	{"redacted", "[redacted]"},
}

var valueRules = []Rule{
	{ID: "value/round-trip", Sentence: "A value is any bytes, and comes back byte for byte.",
		check: func(ctx context.Context, e *env) error {
			s, err := e.open(ctx)
			if err != nil {
				return err
			}
			want := map[string]secretstore.Value{}
			for i, sp := range specials {
				name := e.name(fmt.Sprintf("v-%d", i))
				want[name] = text(sp.value)
				if i%2 == 0 { // half by Set, half by SetBatch
					if err := s.Set(ctx, name, want[name]); err != nil {
						return fmt.Errorf("Set of %s: %w", sp.what, err)
					}
				}
			}
			if err := s.SetBatch(ctx, want); err != nil {
				return fmt.Errorf("SetBatch: %w", err)
			}
			for i, sp := range specials {
				name := e.name(fmt.Sprintf("v-%d", i))
				if err := expect(ctx, s, name, want[name]); err != nil {
					return fmt.Errorf("%s: %w", sp.what, err)
				}
			}
			return nil
		}},
	{ID: "value/empty", Sentence: "An empty secret is not a missing one.",
		check: func(ctx context.Context, e *env) error {
			s, err := e.open(ctx)
			if err != nil {
				return err
			}
			a, b := e.name("empty"), e.name("zero")
			if err := s.Set(ctx, a, text("")); err != nil {
				return fmt.Errorf("Set of an empty value: %w", err)
			}
			if err := s.SetBatch(ctx, map[string]secretstore.Value{b: {}}); err != nil {
				return fmt.Errorf("SetBatch with an empty value: %w", err)
			}
			for _, name := range []string{a, b} {
				if err := expect(ctx, s, name, text("")); err != nil {
					return err
				}
			}
			got, err := s.GetBatch(ctx, []string{a})
			if v, ok := got[a]; !ok || err != nil || v.Len() != 0 {
				return fmt.Errorf("GetBatch of an empty value: got %v, %v", got, err)
			}
			return e.expectList(ctx, s, []string{a, b})
		}},
	{ID: "value/max-size", Sentence: "Valid UTF-8 up to 25,600 bytes, and anything else up to 19,200 bytes, is stored.",
		check: func(ctx context.Context, e *env) error {
			s, err := e.open(ctx)
			if err != nil {
				return err
			}
			binary := append([]byte{0xff}, patterned(secretstore.MaxBinaryLen-1)...)
			for i, v := range [][]byte{
				patterned(secretstore.MaxTextLen),
				patterned(secretstore.MaxTextLen - 1),
				[]byte(strings.Repeat("é", secretstore.MaxTextLen/2)),
				[]byte("a" + strings.Repeat("鍵", secretstore.MaxTextLen/3)),
				binary,
				binary[:len(binary)-1],
				bytes.Repeat([]byte{0}, secretstore.MaxTextLen),
			} {
				name := e.name(fmt.Sprintf("size-%d", i))
				if err := s.Set(ctx, name, secretstore.NewValue(v)); err != nil {
					return fmt.Errorf("Set of %d bytes: %w", len(v), err)
				}
				if err := expect(ctx, s, name, secretstore.NewValue(v)); err != nil {
					return err
				}
			}
			return nil
		}},
	{ID: "value/too-large", Sentence: "A larger value is ErrTooLarge, and the old value stays.",
		check: func(ctx context.Context, e *env) error {
			s, err := e.open(ctx)
			if err != nil {
				return err
			}
			name := e.name("large")
			if err := s.Set(ctx, name, text("old")); err != nil {
				return err
			}
			for _, v := range [][]byte{
				patterned(secretstore.MaxTextLen + 1),
				append(patterned(secretstore.MaxTextLen-1), "é"...),
				append([]byte{0xff}, patterned(secretstore.MaxBinaryLen)...),
				patterned(4 << 20),
			} {
				what := fmt.Sprintf("of %d bytes", len(v))
				if err := expectKind("Set "+what, s.Set(ctx, name, secretstore.NewValue(v)), secretstore.ErrTooLarge); err != nil {
					return err
				}
				err := s.SetBatch(ctx, map[string]secretstore.Value{name: secretstore.NewValue(v)})
				if err := expectKind("SetBatch "+what, err, secretstore.ErrTooLarge); err != nil {
					return err
				}
			}
			return expect(ctx, s, name, text("old"))
		}},
}
