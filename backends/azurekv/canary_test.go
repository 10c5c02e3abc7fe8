package azurekv_test

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/log"
	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/azurekv/azurekvtest"
)

// chain returns everything that an error holds, as text.
func chain(err error) string {
	var b strings.Builder
	var walk func(err error)
	walk = func(err error) {
		if err == nil {
			return
		}
		fmt.Fprintf(&b, "%v %+v %#v %q %x\n", err, err, err, err, err)
		if text, err := json.Marshal(err); err == nil {
			b.Write(text)
		}
		switch err := err.(type) {
		case interface{ Unwrap() error }:
			walk(err.Unwrap())
		case interface{ Unwrap() []error }:
			for _, e := range err.Unwrap() {
				walk(e)
			}
		}
	}
	walk(err)
	return b.String()
}

// The values and tokens that a server throws back show nowhere, also not in
// azcore's own log, which writes the bodies of answers of which it makes errors.
// The test owns that log, so it does not run beside others.
func TestCanary(t *testing.T) {
	const canary = "canary/7f3a+\"\\91=\x7f"
	var mu sync.Mutex
	var logged strings.Builder
	log.SetListener(func(event log.Event, message string) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(&logged, "%s: %s\n", event, message)
	})
	defer log.SetListener(nil)

	var said strings.Builder
	var secrets []string
	var kinds sync.WaitGroup
	for kind := azurekvtest.Throttle; kind <= azurekvtest.ServerError; kind++ {
		kinds.Go(func() {
			server := azurekvtest.NewServer(azurekvtest.Options{})
			defer server.Close()
			server.Put(canaryName, canary)
			c := server.Config()
			c.ClientOptions.Logging.IncludeBody = true // refused
			store := open(t, c)
			if _, err := store.Get(t.Context(), canaryName); err != nil {
				t.Error(err)
				return
			}
			server.Inject(azurekvtest.Fault{Kind: kind})
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second) // some hang
			defer cancel()
			for what, err := range allAtOnce(map[string]func() error{
				"Get":      func() error { _, err := store.Get(ctx, canaryName); return err },
				"GetBatch": func() error { _, err := store.GetBatch(ctx, []string{canaryName, "other"}); return err },
				"List":     func() error { _, err := store.List(ctx); return err },
				"Set":      func() error { return store.Set(ctx, canaryName, text(canary)) },
				"SetBatch": func() error {
					return store.SetBatch(ctx, map[string]secretstore.Value{"a": text(canary), "b": text(canary)})
				},
				"Delete": func() error { return store.(secretstore.Deleter).Delete(ctx, canaryName) },
			}) {
				if err == nil {
					t.Errorf("%s, fault %d: no error", what, kind)
				}
				mu.Lock()
				said.WriteString(chain(err))
				mu.Unlock()
			}
			mu.Lock()
			secrets = append(secrets, server.Tokens()...)
			mu.Unlock()
		})
	}
	kinds.Wait()

	mu.Lock()
	defer mu.Unlock()
	if !strings.Contains(logged.String(), "/secrets/"+canaryName) {
		t.Fatal("the log shows no request, so it shows nothing")
	}
	if len(secrets) == 0 {
		t.Fatal("no token was used")
	}
	quoted, err := json.Marshal(canary)
	if err != nil {
		t.Fatal(err)
	}
	secrets = append(secrets, canary, strings.Trim(string(quoted), `"`), hex.EncodeToString([]byte(canary)),
		base64.StdEncoding.EncodeToString([]byte(canary)), url.QueryEscape(canary), "canary/7f3a")
	for _, secret := range secrets {
		if strings.Contains(said.String(), secret) {
			t.Errorf("an error holds %.12q…", secret)
		}
		if strings.Contains(logged.String(), secret) {
			t.Errorf("azcore's log holds %.12q…", secret)
		}
	}
}

const canaryName = "canary-name"

// What an error unwraps to is a member of the closed set and nothing else.
func TestErrorsUnwrapToKinds(t *testing.T) {
	t.Parallel()
	server, store := serve(t, azurekvtest.Options{})
	server.Inject(azurekvtest.Fault{Kind: azurekvtest.Echo})
	_, err := store.Get(t.Context(), "name")
	e, ok := errors.AsType[*secretstore.Error](err)
	if !ok {
		t.Fatalf("%T", err)
	}
	if below := e.Unwrap(); len(below) != 1 || below[0] != secretstore.ErrUnavailable {
		t.Errorf("the error unwraps to %v", below)
	}
}
