package secretstore_test

import (
	"bytes"
	"encoding/base64"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/mlsecrets/secretstore"
)

func TestValueEqual(t *testing.T) {
	t.Parallel()
	var zero secretstore.Value
	for _, tc := range []struct {
		what string
		v, w secretstore.Value
		want bool
	}{
		{"same bytes", secret("abc"), secret("abc"), true},
		{"other bytes", secret("abc"), secret("abd"), false},
		{"a prefix", secret("abc"), secret("ab"), false},
		{"other case", secret("abc"), secret("ABC"), false},
		{"empty", secret(""), secret(""), true},
		{"zero", zero, zero, true},
		{"zero and empty", zero, secret(""), true},
		{"zero and NewValue(nil)", zero, secretstore.NewValue(nil), true},
		{"zero and NUL", zero, secret("\x00"), false},
	} {
		if got := tc.v.Equal(tc.w); got != tc.want {
			t.Errorf("%s: v.Equal(w) = %t, want %t", tc.what, got, tc.want)
		}
		if got := tc.w.Equal(tc.v); got != tc.want {
			t.Errorf("%s: w.Equal(v) = %t, want %t", tc.what, got, tc.want)
		}
	}
}

// TestValueEmpty: the zero Value and every other empty one are the same secret.
func TestValueEmpty(t *testing.T) {
	t.Parallel()
	for what, v := range map[string]secretstore.Value{
		"zero":             {},
		"NewValue(nil)":    secretstore.NewValue(nil),
		"NewValue([]byte)": secretstore.NewValue([]byte{}),
	} {
		if got := v.Reveal(); got == nil || len(got) != 0 {
			t.Errorf("%s: Reveal() = %#v, want an empty slice that is not nil", what, got)
		}
		if got := v.Len(); got != 0 {
			t.Errorf("%s: Len() = %d, want 0", what, got)
		}
		if text, binary := secretstore.EncodeText(v); text != "" || binary {
			t.Errorf("%s: EncodeText = %q, %t, want \"\", false", what, text, binary)
		}
		if got := v.String(); got != "[redacted]" {
			t.Errorf("%s: String() = %q", what, got)
		}
	}
}

// TestValueDoesNotAlias: what goes in is copied, and so is what comes out.
func TestValueDoesNotAlias(t *testing.T) {
	t.Parallel()
	in := []byte("abc")
	v := secretstore.NewValue(in)
	clear(in)
	out := v.Reveal()
	if got, want := string(out), "abc"; got != want {
		t.Fatalf("after a write to NewValue's argument the value is %q, want %q", got, want)
	}
	clear(out)
	_ = append(v.Reveal()[:1], "xyz"...)
	if got, want := string(v.Reveal()), "abc"; got != want {
		t.Errorf("after a write to Reveal's result the value is %q, want %q", got, want)
	}
}

// TestValueDoesNotCompare: == on a Value doesn't compile, so that Equal is the
// way, and nobody learns from DeepEqual what two values are.
func TestValueDoesNotCompare(t *testing.T) {
	t.Parallel()
	if reflect.TypeFor[secretstore.Value]().Comparable() {
		t.Error("a Value is comparable")
	}
	v := secret("abc")
	if reflect.DeepEqual(v, secret("abc")) || reflect.DeepEqual(v, v) {
		t.Error("DeepEqual finds two values equal")
	}
	if !reflect.DeepEqual(secretstore.Value{}, secretstore.Value{}) {
		t.Error("DeepEqual finds two zero values different, against the doc comment")
	}
}

// TestValueIsNotRead: a document can't set a Value.
func TestValueIsNotRead(t *testing.T) {
	t.Parallel()
	typ := reflect.TypeFor[*secretstore.Value]()
	for _, method := range []string{"UnmarshalText", "UnmarshalJSON", "UnmarshalBinary", "GobDecode", "Scan", "Set"} {
		if _, ok := typ.MethodByName(method); ok {
			t.Errorf("*Value has a method %s", method)
		}
	}
}

func TestEncodeText(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		value, text string
		binary      bool
	}{
		{"", "", false},
		{"s3cr3t", "s3cr3t", false},
		{"é\x00\n\uFFFD", "é\x00\n\uFFFD", false},
		{"\xff", "/w==", true},
		{"a\xed\xa0\x80", "Ye2ggA==", true}, // a surrogate is not UTF-8
		{"\xfb\xff\xfe", "+//+", true},
	} {
		text, binary := secretstore.EncodeText(secret(tc.value))
		if text != tc.text || binary != tc.binary {
			t.Errorf("EncodeText(%q) = %q, %t, want %q, %t", tc.value, text, binary, tc.text, tc.binary)
		}
	}
}

func TestDecodeTextRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"!", "_w==", "/w", "/w=", "/w==x", "s3cr3t-value"} {
		v, err := secretstore.DecodeText(text, true)
		e := wantError(t, err, secretstore.ErrCorrupt)
		if v.Len() != 0 || strings.Contains(e.Error(), text) && len(text) > 1 {
			t.Errorf("DecodeText(%q, true) = %d bytes, %q", text, v.Len(), e)
		}
	}
}

// FuzzEncodeText: every value comes back byte for byte, the text is UTF-8, and
// what is within the limits of a value is within the limit of the text.
func FuzzEncodeText(f *testing.F) {
	for _, seed := range [][]byte{
		nil, []byte("s3cr3t"), {0}, {0xff}, {0xff, 0xfe, 0}, []byte("=="), []byte("/w=="), []byte("\xef\xbb\xbf"),
		bytes.Repeat([]byte("x"), secretstore.MaxTextLen), bytes.Repeat([]byte{0xfe}, secretstore.MaxBinaryLen),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		text, binary := secretstore.EncodeText(secretstore.NewValue(b))
		if binary == utf8.Valid(b) {
			t.Fatalf("%q: binary = %t", b, binary)
		}
		if !utf8.ValidString(text) {
			t.Fatalf("%q: the text %q is not UTF-8", b, text)
		}
		if most := secretstore.MaxTextLen; (binary && len(b) <= secretstore.MaxBinaryLen) && len(text) > most {
			t.Fatalf("%d bytes make %d of text, over %d", len(b), len(text), most)
		}
		got, err := secretstore.DecodeText(text, binary)
		if err != nil || !bytes.Equal(got.Reveal(), b) {
			t.Fatalf("%q comes back as %q, %v", b, got.Reveal(), err)
		}
	})
}

// FuzzDecodeText: text that anyone may have written is a value or ErrCorrupt.
func FuzzDecodeText(f *testing.F) {
	for _, seed := range []string{"", "s3cr3t", "/w==", "/w=", "/x==", "/w\n==", "\xff"} {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	f.Fuzz(func(t *testing.T, text string, binary bool) {
		v, err := secretstore.DecodeText(text, binary)
		if err != nil {
			if !binary {
				t.Fatalf("plain text %q: %v", text, err)
			}
			wantError(t, err, secretstore.ErrCorrupt)
			return
		}
		want := []byte(text)
		if binary {
			want, _ = base64.StdEncoding.DecodeString(text)
		}
		if got := v.Reveal(); !bytes.Equal(got, want) {
			t.Fatalf("DecodeText(%q, %t) = %q, want %q", text, binary, got, want)
		}
	})
}
