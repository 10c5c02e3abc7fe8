package redact_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/redact"
)

func values(secrets ...string) []secretstore.Value {
	var out []secretstore.Value
	for _, s := range secrets {
		out = append(out, secretstore.NewValue([]byte(s)))
	}
	return out
}

var maskTests = []struct {
	name    string
	secrets []string
	in      string
	want    string
}{
	{"no secrets", nil, "plain", "plain"},
	{"absent", []string{"hunter2"}, "plain hunter", "plain hunter"},
	{"once", []string{"hunter2"}, "pw=hunter2;", "pw=[redacted];"},
	{"twice", []string{"hunter2"}, "hunter2 hunter2", "[redacted] [redacted]"},
	{"touching occurrences are one mask", []string{"ab"}, "xababy", "x[redacted]y"},
	{"longest first", []string{"pass", "password"}, "password pass passw", "[redacted] [redacted] [redacted]w"},
	{"overlapping secrets", []string{"abc", "bcd"}, "xabcdx", "x[redacted]x"},
	{"overlap of a secret with itself", []string{"aba"}, "xababax", "x[redacted]x"},
	{"inner secret of a prefix that ends otherwise", []string{"xaby", "ab"}, "xabz", "x[redacted]z"},
	{"false start inside a start", []string{"aab"}, "aaab", "a[redacted]"},
	{"empty is ignored", []string{"", "hunter2"}, "a hunter2", "a [redacted]"},
	{"one byte", []string{"7"}, "1737", "1[redacted]3[redacted]"},
	{"without its newline", []string{"hunter2\n"}, "a hunter2 b\nhunter2\n", "a [redacted] b\n[redacted]\n"},
	{"without its carriage return", []string{"hunter2\r\n"}, "hunter2\nx", "[redacted]\nx"},
	{"only newlines is ignored", []string{"\n\n"}, "a\n\nb", "a\n\nb"},
	{"lines", []string{"BEGIN\nkey\nEND\n"}, "<BEGIN\nkey\nEND\n>", "<[redacted]\n>"},
	{"not UTF-8", []string{"\xff\x00\xfe"}, "a\xff\x00\xfeb\xff", "a[redacted]b\xff"},
	{"a start at the end", []string{"hunter2"}, "is hunt", "is hunt"},
	{"the same twice", []string{"hunter2", "hunter2"}, "hunter2", "[redacted]"},
	{"like the mask", []string{"redacted", "hunter2"}, "hunter2 redacted", "[redacted] [redacted]"},
}

func TestWriter(t *testing.T) {
	t.Parallel()
	for _, tt := range maskTests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for size := 1; size <= len(tt.in); size++ {
				if got := maskInPieces(t, tt.in, tt.secrets, func() int { return size }); got != tt.want {
					t.Errorf("pieces of %d: got %q, want %q", size, got, tt.want)
				}
			}
		})
	}
}

// maskInPieces writes in through a Writer, in pieces of the sizes that next
// returns.
func maskInPieces(t *testing.T, in string, secrets []string, next func() int) string {
	t.Helper()
	var out bytes.Buffer
	w := redact.NewWriter(&out, values(secrets...)...)
	for rest := []byte(in); len(rest) > 0; {
		n := min(max(next(), 0), len(rest))
		if got, err := w.Write(rest[:n]); got != n || err != nil {
			t.Fatalf("Write of %d bytes: got %d, %v", n, got, err)
		}
		rest = rest[n:]
	}
	if err := w.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	return out.String()
}

func TestWriterHoldsBackOnlyStarts(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	w := redact.NewWriter(&out, values("hunter2", "ter")...)
	steps := []struct{ in, want string }{
		{"Password: ", "Password: "},
		{"h", "Password: "},
		{"i", "Password: hi"},
		{"hun", "Password: hi"},
		{"t!", "Password: hihunt!"},
		{" hunter2", "Password: hihunt! [redacted]"},
		{"\n", "Password: hihunt! [redacted]\n"},
	}
	for _, s := range steps {
		if _, err := io.WriteString(w, s.in); err != nil {
			t.Fatalf("Write(%q): %v", s.in, err)
		}
		if got := out.String(); got != s.want {
			t.Fatalf("after Write(%q): got %q, want %q", s.in, got, s.want)
		}
	}
}

func TestWriterErrors(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken pipe")
	r, pipe := io.Pipe()
	r.CloseWithError(broken)
	w := redact.NewWriter(pipe, values("hunter2")...)
	for range 2 {
		if n, err := io.WriteString(w, "text"); n != 0 || !errors.Is(err, broken) {
			t.Errorf("Write: got %d, %v, want 0, %v", n, err, broken)
		}
	}
	if err := w.Close(); !errors.Is(err, broken) {
		t.Errorf("Close: got %v, want %v", err, broken)
	}
	if err := w.Close(); err != nil {
		t.Errorf("second Close: got %v, want nil", err)
	}
	if _, err := io.WriteString(w, "text"); err == nil || errors.Is(err, broken) {
		t.Errorf("Write after Close: got %v, want an error of its own", err)
	}
}

func TestWriterConcurrent(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	w := redact.NewWriter(&out, values("hunter2")...)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				io.WriteString(w, "a hunter2\n")
			}
		})
	}
	wg.Wait()
	if err := w.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	if got, want := out.String(), strings.Repeat("a [redacted]\n", 800); got != want {
		t.Errorf("got %d bytes, want %d, each line masked", len(got), len(want))
	}
}

// maskWhole is the specification: it marks the bytes of every occurrence, and
// replaces each run of marked bytes.
func maskWhole(in string, secrets []string) string {
	marked := make([]bool, len(in))
	for _, s := range secrets {
		s = strings.TrimRight(s, "\r\n")
		if s == "" {
			continue
		}
		for i := range len(in) { // bytes, not runes
			if strings.HasPrefix(in[i:], s) {
				for j := range len(s) {
					marked[i+j] = true
				}
			}
		}
	}
	var out strings.Builder
	for i := range len(in) {
		switch {
		case !marked[i]:
			out.WriteByte(in[i])
		case i == 0 || !marked[i-1]:
			out.WriteString(redact.Mask)
		}
	}
	return out.String()
}

func FuzzWriter(f *testing.F) {
	for _, tt := range maskTests {
		s := append(tt.secrets, "", "", "")
		f.Add(tt.in, s[0], s[1], s[2], []byte{1, 3, 0, 2})
	}
	f.Add(strings.Repeat("a", 300), "aaa", strings.Repeat("a", 60), "xaa", []byte{7})
	f.Fuzz(func(t *testing.T, in, a, b, c string, sizes []byte) {
		secrets := []string{a, b, c}
		i := 0
		got := maskInPieces(t, in, secrets, func() int {
			if len(sizes) == 0 || i >= len(in)+len(sizes) {
				return len(in)
			}
			i++
			return int(sizes[i%len(sizes)])
		})
		if want := maskWhole(in, secrets); got != want {
			t.Errorf("got %q, want %q (secrets %q, sizes %v)", got, want, secrets, sizes)
		}
		for _, s := range secrets {
			// A secret that shares bytes with the mask may stand in the output
			// by way of it.
			if s = strings.TrimRight(s, "\r\n"); s == "" || strings.ContainsAny(s, redact.Mask) {
				continue
			}
			if strings.Contains(got, s) {
				t.Errorf("the output %q shows the secret %q", got, s)
			}
		}
	})
}

func BenchmarkWriter(b *testing.B) {
	line := []byte(`{"level":"info","msg":"epoch 12 of 90, loss 0.00213, 1832 images a second"}` + "\n")
	for _, secrets := range []int{0, 1, 1000} {
		b.Run(fmt.Sprintf("secrets=%d", secrets), func(b *testing.B) {
			var all []string
			for i := range secrets {
				all = append(all, fmt.Sprintf("k%d-%040d", i, i))
			}
			w := redact.NewWriter(io.Discard, values(all...)...)
			b.SetBytes(int64(len(line)))
			b.ReportAllocs()
			for b.Loop() {
				w.Write(line)
			}
		})
	}
}
