package redact

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/mlsecrets/secretstore"
)

// NewHandler returns a handler that passes records on to next with the secrets
// masked in the message and in the attributes: in keys, in strings, in errors,
// in bytes, and in any other value whose %+v shows a secret, which becomes a
// string. Attributes that hold no secret arrive as they are.
//
// A value that a handler marshals to another text than %+v gives may still show
// a secret; give next a [NewWriter] as well where such values are logged.
func NewHandler(next slog.Handler, secrets ...secretstore.Value) slog.Handler {
	return &handler{next: next, matcher: newMatcher(secrets)}
}

type handler struct {
	next    slog.Handler
	matcher *matcher
}

func (h *handler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	out := slog.NewRecord(r.Time, r.Level, h.text(r.Message), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		out.AddAttrs(h.attr(a))
		return true
	})
	return h.next.Handle(ctx, out)
}

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &handler{next: h.next.WithAttrs(h.attrs(attrs)), matcher: h.matcher}
}

func (h *handler) WithGroup(name string) slog.Handler {
	return &handler{next: h.next.WithGroup(h.text(name)), matcher: h.matcher}
}

func (h *handler) attrs(in []slog.Attr) []slog.Attr {
	out := make([]slog.Attr, len(in))
	for i, a := range in {
		out[i] = h.attr(a)
	}
	return out
}

func (h *handler) attr(a slog.Attr) slog.Attr {
	a.Key = h.text(a.Key)
	a.Value = a.Value.Resolve()
	switch a.Value.Kind() {
	case slog.KindGroup:
		a.Value = slog.GroupValue(h.attrs(a.Value.Group())...)
	case slog.KindAny:
		var text string
		switch v := a.Value.Any().(type) {
		case []byte:
			text = string(v)
		default:
			text = fmt.Sprintf("%+v", v)
		}
		if masked, found := h.matcher.mask([]byte(text)); found {
			a.Value = slog.StringValue(string(masked))
		}
	default:
		if masked, found := h.matcher.mask([]byte(a.Value.String())); found {
			a.Value = slog.StringValue(string(masked))
		}
	}
	return a
}

func (h *handler) text(s string) string {
	masked, _ := h.matcher.mask([]byte(s))
	return string(masked)
}
