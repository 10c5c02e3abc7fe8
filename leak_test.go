package secretstore_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	htmltemplate "html/template"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"reflect"
	"strconv"
	"strings"
	"testing"
	texttemplate "text/template"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"

	"github.com/mlsecrets/secretstore"
)

// canary is a secret that occurs nowhere by chance, with characters that every
// escaping changes.
func canary() []byte {
	b := []byte(rand.Text() + `"&<é\%` + "\n" + rand.Text())
	return append(b, 0xfb, 0xff) // + and / in base64
}

// forms returns every text under which the secret could show, in each case a
// piece that is long enough to be no accident.
func forms(secret []byte) map[string]string {
	f := map[string]string{
		"raw head":    string(secret[:12]),
		"raw tail":    string(secret[len(secret)-14 : len(secret)-2]),
		"hex":         hex.EncodeToString(secret[:12]),
		"HEX":         strings.ToUpper(hex.EncodeToString(secret[:12])),
		"hex, spaced": strings.TrimSpace(fmt.Sprintf("% x", secret[:12])),
		"query":       url.QueryEscape(string(secret[20:40])),
		"path":        url.PathEscape(string(secret[20:40])),
		"decimal":     strings.Trim(fmt.Sprint(secret[:8]), "[]"),
		"list":        strings.ReplaceAll(strings.Trim(fmt.Sprint(secret[:8]), "[]"), " ", ", "),
		"list, JSON":  strings.ReplaceAll(strings.Trim(fmt.Sprint(secret[:8]), "[]"), " ", ","),
		"octal":       strings.Trim(fmt.Sprintf("%o", secret[:8]), "[]"),
		"binary":      strings.Trim(fmt.Sprintf("%b", secret[:4]), "[]"),
	}
	goSyntax := fmt.Sprintf("%#v", secret[:8])
	f["Go syntax"] = goSyntax[len("[]byte{") : len(goSyntax)-1]
	quoted := strconv.Quote(string(secret[20:40]))
	f["quoted"] = quoted[1 : len(quoted)-1]
	ascii := strconv.QuoteToASCII(string(secret[20:40]))
	f["quoted to ASCII"] = ascii[1 : len(ascii)-1]
	js, err := json.Marshal(string(secret[20:40]))
	if err != nil {
		panic(err)
	}
	f["JSON"] = string(js[1 : len(js)-1])
	for name, enc := range map[string]*base64.Encoding{"base64": base64.RawStdEncoding, "base64url": base64.RawURLEncoding} {
		// Wherever the secret starts in a longer base64 text, one of the three
		// alignments is a piece of it: the first and last character, which
		// hold bits of the neighbors, are cut.
		for shift := range 3 {
			text := enc.EncodeToString(secret[shift:])
			f[fmt.Sprintf("%s, shift %d", name, shift)] = text[:20]
			f[fmt.Sprintf("%s, shift %d, tail", name, shift)] = text[len(text)-20 : len(text)-3]
		}
	}
	return f
}

// noLeak fails the test if the output has a form of the secret.
func noLeak(t *testing.T, what, output string, forms map[string]string) {
	t.Helper()
	for form, text := range forms {
		if strings.Contains(output, text) {
			t.Errorf("%s shows the secret (%s): %s", what, form, output)
		}
	}
}

// attempt turns a panic into an error: packages that use reflection panic over
// some positions, and that text must show nothing either.
func attempt(do func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	return do()
}

// TestLeakForms shows that the search finds each form, so that the tests below
// can fail.
func TestLeakForms(t *testing.T) {
	t.Parallel()
	b := canary()
	js, _ := json.Marshal(string(b))
	list, _ := json.Marshal(strings.Split(strings.Trim(fmt.Sprint(b), "[]"), " "))
	for what, output := range map[string]string{
		"%s": string(b), "%q": fmt.Sprintf("%q", b), "%+q": fmt.Sprintf("%+q", b),
		"%v": fmt.Sprintf("%v", b), "%#v": fmt.Sprintf("%#v", b), "%d": fmt.Sprintf("%d", b),
		"%x": fmt.Sprintf("%x", b), "%X": fmt.Sprintf("%X", b), "% x": fmt.Sprintf("% x", b), "%o": fmt.Sprintf("%o", b),
		"%b": fmt.Sprintf("%b", b), "JSON": string(js), "query": url.QueryEscape(string(b)), "path": url.PathEscape(string(b)),
		"list":           strings.ReplaceAll(string(list), `"`, ""),
		"base64 after 0": base64.StdEncoding.EncodeToString(b),
		"base64 after 1": base64.StdEncoding.EncodeToString(append([]byte("x"), b...)),
		"base64 after 2": base64.URLEncoding.EncodeToString(append([]byte("xy"), b...)),
	} {
		found := false
		for _, text := range forms(b) {
			found = found || strings.Contains(output, text)
		}
		if !found {
			t.Errorf("%s: nothing found in %s", what, output)
		}
	}
}

type exported struct{ V secretstore.Value }

type unexported struct{ v secretstore.Value }

type exportedPointer struct{ V *secretstore.Value }

type unexportedPointer struct{ v *secretstore.Value }

type unexportedAny struct{ v any }

type embedded struct{ secretstore.Value }

type nested struct {
	Name  string
	inner *unexportedPointer
	list  []unexported
	byKey map[string]*exported
}

// positions returns the value in every place that a program puts one.
func positions(v secretstore.Value) map[string]any {
	p := &v
	return map[string]any{
		"value":                v,
		"pointer":              p,
		"pointer to pointer":   &p,
		"slice":                []secretstore.Value{v},
		"slice of pointers":    []*secretstore.Value{p},
		"slice of any":         []any{v, p},
		"array":                [1]secretstore.Value{v},
		"pointer to array":     &[1]secretstore.Value{v},
		"map":                  map[string]secretstore.Value{"k": v},
		"map of pointers":      map[string]*secretstore.Value{"k": p},
		"map of slices":        map[int][]secretstore.Value{1: {v}},
		"map key":              map[*secretstore.Value]int{p: 1},
		"exported field":       exported{v},
		"unexported field":     unexported{v},
		"pointer to struct":    &unexported{v},
		"exported pointer":     exportedPointer{p},
		"unexported pointer":   unexportedPointer{p},
		"any field":            unexportedAny{v},
		"any field, pointer":   &unexportedAny{p},
		"any field, struct":    unexportedAny{&unexported{v}},
		"embedded":             embedded{v},
		"pointer to embedded":  &embedded{v},
		"anonymous struct":     struct{ v, w secretstore.Value }{v, v},
		"nested":               nested{"n", &unexportedPointer{p}, []unexported{{v}}, map[string]*exported{"k": {v}}},
		"pointer to nested":    &nested{"n", &unexportedPointer{p}, []unexported{{v}}, map[string]*exported{"k": {v}}},
		"function":             v.Len,
		"function with result": func() secretstore.Value { return v },
		"reflect.Value":        reflect.ValueOf(v),
		"reflect field":        reflect.ValueOf(unexported{v}).Field(0),
		"reflect of the bytes": reflect.ValueOf(v).Field(0),
	}
}

func TestValueInFmt(t *testing.T) {
	t.Parallel()
	b := canary()
	forms := forms(b)
	for where, x := range positions(secretstore.NewValue(b)) {
		for _, verb := range "vTtbcdoOqxXUeEfFgGspwz" {
			for _, flags := range []string{"", "+", "#", "-", " ", "0", "+#", "# ", "40", "-40", "200.100", ".3", "#40.4", "+#- 020.10"} {
				format := "%" + flags + string(verb)
				noLeak(t, where+" with "+format, fmt.Sprintf(format, x), forms)
			}
		}
		noLeak(t, where+" with Println", fmt.Sprintln(x, x), forms)
		noLeak(t, where+" with Errorf", fmt.Errorf("bad: %v %+v", x, x).Error(), forms)
		for what, format := range map[string]string{"as a width": "%*d", "too many": "none", "bad index": "%[9]v", "bad verb": "%!"} {
			noLeak(t, where+" "+what, fmt.Sprintf(format, x, x), forms)
		}
	}
}

func TestValueShowsRedacted(t *testing.T) {
	t.Parallel()
	for _, v := range []secretstore.Value{{}, secret(""), secret("abc")} {
		for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%40s", "%.2s"} {
			if got := fmt.Sprintf(format, v); got != "[redacted]" {
				t.Errorf("Sprintf(%q, v) = %q, want [redacted]", format, got)
			}
		}
		js, err := json.Marshal(map[string]any{"a": v, "b": &v, "c": []secretstore.Value{v}})
		if want := `{"a":"[redacted]","b":"[redacted]","c":["[redacted]"]}`; err != nil || string(js) != want {
			t.Errorf("JSON: %s, %v, want %s", js, err, want)
		}
	}
}

func TestValueInSlog(t *testing.T) {
	t.Parallel()
	b := canary()
	forms := forms(b)
	for where, x := range positions(secretstore.NewValue(b)) {
		for name, handler := range map[string]func(*bytes.Buffer, *slog.HandlerOptions) slog.Handler{
			"text": func(w *bytes.Buffer, o *slog.HandlerOptions) slog.Handler { return slog.NewTextHandler(w, o) },
			"JSON": func(w *bytes.Buffer, o *slog.HandlerOptions) slog.Handler { return slog.NewJSONHandler(w, o) },
		} {
			var out bytes.Buffer
			log := slog.New(handler(&out, &slog.HandlerOptions{AddSource: true}))
			log.With("with", x).WithGroup("g").Info("msg", "attr", x, slog.Group("group", "inner", x), "any", slog.AnyValue(x))
			log.Error(fmt.Sprint(x), "err", fmt.Errorf("bad: %v", x))
			if out.Len() == 0 {
				t.Fatalf("the %s handler wrote nothing", name)
			}
			noLeak(t, where+" in slog "+name, out.String(), forms)
		}
	}
}

// TestValueInEncodings: an encoding fails, or shows no value.
func TestValueInEncodings(t *testing.T) {
	t.Parallel()
	b := canary()
	forms := forms(b)
	for where, x := range positions(secretstore.NewValue(b)) {
		js, err := json.MarshalIndent(x, "", " ")
		noLeak(t, where+" in JSON", fmt.Sprint(string(js), err), forms)
		xm, err := xml.Marshal(x)
		noLeak(t, where+" in XML", fmt.Sprint(string(xm), err), forms)
		var out bytes.Buffer
		err = gob.NewEncoder(&out).Encode(x)
		noLeak(t, where+" in gob", fmt.Sprint(out.String(), err), forms)
	}
	attr := struct {
		A secretstore.Value `xml:"a,attr"`
		C secretstore.Value `xml:",chardata"`
	}{secretstore.NewValue(b), secretstore.NewValue(b)}
	xm, err := xml.Marshal(attr)
	noLeak(t, "an attribute in XML", fmt.Sprint(string(xm), err), forms)
}

// TestValueInGob: gob has no way to say redacted, so a lone Value is an error
// and not a value that comes back empty.
func TestValueInGob(t *testing.T) {
	t.Parallel()
	if err := gob.NewEncoder(&bytes.Buffer{}).Encode(secret("abc")); err == nil {
		t.Error("gob encodes a Value")
	}
}

func TestValueInTemplates(t *testing.T) {
	t.Parallel()
	b := canary()
	forms := forms(b)
	const text = `{{.}} {{printf "%s %x %#v" . . .}} {{print .}} {{html .}} {{js .}} {{urlquery .}}`
	const page = `<a href="/?q={{.}}" title={{.}} onclick="f({{.}})" style="width:{{.}}">{{.}}</a><script>var v = {{.}}; // {{.}}
</script><style>p{color:{{.}}}</style>`
	for where, x := range positions(secretstore.NewValue(b)) {
		var out bytes.Buffer
		err := attempt(func() error { return texttemplate.Must(texttemplate.New("").Parse(text)).Execute(&out, x) })
		noLeak(t, where+" in text/template", fmt.Sprint(out.String(), err), forms)
		out.Reset()
		err = attempt(func() error { return htmltemplate.Must(htmltemplate.New("").Parse(page)).Execute(&out, x) })
		noLeak(t, where+" in html/template", fmt.Sprint(out.String(), err), forms)
	}
}

// recorder is what testify and its go-spew write failures to.
type recorder struct{ out strings.Builder }

func (r *recorder) Errorf(format string, args ...any) { fmt.Fprintf(&r.out, format, args...) }

// TestValueInDiffs goes through the diffs that failing tests print: testify's,
// whose copy of go-spew ignores methods, and go-cmp's, with and without leave to
// look into unexported fields.
func TestValueInDiffs(t *testing.T) {
	t.Parallel()
	b := canary()
	other := canary()
	forms, otherForms := forms(b), forms(other)
	others := positions(secretstore.NewValue(other))
	for where, x := range positions(secretstore.NewValue(b)) {
		y := others[where]
		var r recorder
		equal := assert.Equal(&r, x, y)
		equal = assert.EqualValues(&r, x, y) || equal
		assert.NotEqual(&r, x, x)
		assert.Contains(&r, x, y)
		assert.Len(&r, x, 77)
		assert.Nil(&r, x)
		assert.Empty(&r, x)
		assert.ElementsMatch(&r, []any{x}, []any{y})
		assert.Equal(&r, x, "no secret")
		if equal || r.out.Len() == 0 {
			t.Errorf("%s: testify finds two secrets equal", where)
		}
		output := r.out.String()
		noLeak(t, where+" in testify", output, forms)
		noLeak(t, where+" in testify", output, otherForms)

		all := cmp.Exporter(func(reflect.Type) bool { return true })
		for _, opts := range [][]cmp.Option{nil, {all}} {
			var diff string
			err := attempt(func() error { diff = cmp.Diff(x, y, opts...); return nil })
			output := fmt.Sprint(diff, err)
			if diff == "" && err == nil {
				t.Errorf("%s: go-cmp finds two secrets equal", where)
			}
			noLeak(t, where+" in go-cmp", output, forms)
			noLeak(t, where+" in go-cmp", output, otherForms)
		}
	}
	if diff := cmp.Diff(exported{secret("a")}, exported{secret("a")}); diff != "" {
		t.Errorf("go-cmp doesn't use Equal: %s", diff)
	}
}

// TestValueInPanic panics in a child process, because the runtime's printing of
// a panic's value can be had in no other way.
func TestValueInPanic(t *testing.T) {
	t.Parallel()
	const position, value = "SECRETSTORE_TEST_PANIC", "SECRETSTORE_TEST_VALUE"
	if where, ok := os.LookupEnv(position); ok {
		b, err := hex.DecodeString(os.Getenv(value))
		if err != nil {
			t.Fatal(err)
		}
		panic(positions(secretstore.NewValue(b))[where])
	}
	b := canary()
	forms := forms(b)
	for _, where := range []string{"value", "pointer", "slice", "exported field", "unexported field", "any field, struct", "embedded", "pointer to embedded"} {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestValueInPanic$")
		cmd.Env = append(os.Environ(), position+"="+where, value+"="+hex.EncodeToString(b), "GOTRACEBACK=system")
		out, err := cmd.CombinedOutput()
		if err == nil || !bytes.Contains(out, []byte("panic: ")) {
			t.Fatalf("%s: the child did not panic: %v\n%s", where, err, out)
		}
		noLeak(t, where+" in a panic", string(out), forms)
	}
}
