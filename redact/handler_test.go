package redact_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/slogtest"

	"github.com/mlsecrets/secretstore/redact"
)

type config struct{ DSN string }

type lazy struct{}

func (lazy) LogValue() slog.Value { return slog.StringValue("from LogValue: pa\"ss") }

func TestHandler(t *testing.T) {
	t.Parallel()
	const secret = `pa"ss`
	tests := []struct {
		name string
		log  func(*slog.Logger)
	}{
		{"message", func(l *slog.Logger) { l.Info("with " + secret) }},
		{"string", func(l *slog.Logger) { l.Info("m", "k", secret) }},
		{"key", func(l *slog.Logger) { l.Info("m", secret, 1) }},
		{"error", func(l *slog.Logger) { l.Info("m", "k", errors.New("bad password: "+secret)) }},
		{"bytes", func(l *slog.Logger) { l.Info("m", "k", []byte(secret)) }},
		{"struct", func(l *slog.Logger) { l.Info("m", "k", config{"u:" + secret}) }},
		{"slice", func(l *slog.Logger) { l.Info("m", "k", []string{secret}) }},
		{"lazy", func(l *slog.Logger) { l.Info("m", "k", lazy{}) }},
		{"group", func(l *slog.Logger) { l.Info("m", slog.Group("g", slog.Group("h", "k", secret))) }},
		{"with", func(l *slog.Logger) { l.With("k", secret).Info("m") }},
		{"with group", func(l *slog.Logger) { l.WithGroup(secret).Info("m", "k", 1) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, asJSON := range []bool{false, true} {
				var out bytes.Buffer
				var next slog.Handler = slog.NewTextHandler(&out, nil)
				if asJSON {
					next = slog.NewJSONHandler(&out, nil)
				}
				tt.log(slog.New(redact.NewHandler(next, values(secret)...)))
				// Both handlers escape the quote, so each half is looked for.
				if got := out.String(); strings.Contains(got, "pa\\\"ss") || strings.Contains(got, secret) ||
					!strings.Contains(got, redact.Mask) {
					t.Errorf("JSON %v: got %s, want the secret masked", asJSON, got)
				}
			}
		})
	}
}

func TestHandlerKeepsOtherAttributes(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := slog.New(redact.NewHandler(slog.NewJSONHandler(&out, nil), values("hunter2")...))
	log.Info("m", "n", 7, "ok", true, "c", config{"u:p"}, "list", []string{"a"})
	var got map[string]any
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatalf("Unmarshal: %v", err)
	}
	if got["n"] != 7.0 || got["ok"] != true || got["c"].(map[string]any)["DSN"] != "u:p" ||
		got["list"].([]any)[0] != "a" {
		t.Errorf("got %v, want the attributes with their types", got)
	}
}

func TestHandlerIsASlogHandler(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	err := slogtest.TestHandler(redact.NewHandler(slog.NewJSONHandler(&out, nil), values("hunter2")...),
		func() []map[string]any {
			var records []map[string]any
			for line := range bytes.Lines(out.Bytes()) {
				var r map[string]any
				if err := json.Unmarshal(line, &r); err != nil {
					t.Fatalf("Unmarshal: %v", err)
				}
				records = append(records, r)
			}
			return records
		})
	if err != nil {
		t.Error(err)
	}
}
