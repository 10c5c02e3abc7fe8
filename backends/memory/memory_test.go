package memory_test

import (
	"context"
	"errors"
	"net/url"
	"testing"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/memory"
	"github.com/mlsecrets/secretstore/conformance"
	"github.com/mlsecrets/secretstore/internal/figures"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	figures.Suite(t, "memory", conformance.Test(t, conformance.Harness{
		Open:     func(context.Context) (secretstore.StoreCloser, error) { return memory.New(), nil },
		Requests: func(secretstore.StoreCloser) int { return 0 }, // it makes none
		Facts:    conformance.Facts{AtomicBatch: true},
	}))
}

func TestOpen(t *testing.T) {
	t.Parallel()
	openers := secretstore.Openers{"memory": memory.Open}
	for _, tt := range []struct {
		url  string
		want error
	}{
		{"memory://", nil},
		{"memory:///", nil},
		{"memory://host", secretstore.ErrInvalidConfig},
		{"memory:///path", secretstore.ErrInvalidConfig},
		{"memory://?x=1", secretstore.ErrInvalidConfig},
	} {
		s, err := openers.Open(t.Context(), tt.url)
		if !errors.Is(err, tt.want) {
			t.Errorf("Open(%q): got %v, want %v", tt.url, err, tt.want)
		}
		if err == nil {
			s.Close()
		}
	}
	a, _ := memory.Open(t.Context(), &url.URL{Scheme: "memory"})
	b, _ := memory.Open(t.Context(), &url.URL{Scheme: "memory"})
	if err := a.Set(t.Context(), "k", secretstore.NewValue(nil)); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Get(t.Context(), "k"); !errors.Is(err, secretstore.ErrNotFound) {
		t.Errorf("two stores share a secret: %v", err)
	}
}
