package runctx_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/runctx"
)

// FuzzDetect: whatever stands in files and variables, there is a decision whose URL
// opens without a credential, or an error of the one kind; never both, nor a panic.
func FuzzDetect(f *testing.F) {
	for _, text := range []string{`{"url": "memory://"}`, `{"url": "vault:///kv/team?auth=jwt"}`, `{"url": 1}`, `{}`, `null`, `[`, "",
		amlText, `{"Scope": "/subscriptions/S/resourceGroups/G/providers/P/workspaces/W"}`, `{"Scope": "/subscriptions////////"}`,
		`{"subscription_id": null}`, "\ufeff{}", `{"url": "azurekv://a:b@c"}`} {
		f.Add(text, text, "", "https://v:8200", "kv/team", "https://kv.vault.azure.net")
		f.Add(text, "", "vault://v/kv?token=x;y&%zz", "unix:///sock", "../..", "http://me@x")
	}
	f.Fuzz(func(t *testing.T, ours1, azure, storeURL, vaultAddr, vaultPath, keyVault string) {
		vars := with(nil, "SECRETSTORE_URL", storeURL, "VAULT_ADDR", vaultAddr, "SECRETSTORE_VAULT_PATH", vaultPath, "KEY_VAULT_URL", keyVault)
		files := map[string]string{}
		if ours1 != "" {
			files[ours] = ours1
		}
		if azure != "" {
			files["home/me/config.json"] = azure
		}
		d, err := runctx.Detect(fakeEnv(t, vars, files))
		if err != nil {
			if !errors.Is(err, secretstore.ErrInvalidConfig) || d.URL != "" || len(d.Signals) == 0 {
				t.Fatalf("got %v with the decision %+v", err, d)
			}
			return
		}
		if _, err := secretstore.ParseURL(d.URL); err != nil {
			t.Fatalf("chose a URL that no opener takes: %v", err)
		}
		used := 0
		for _, s := range d.Signals {
			if s.Used {
				used++
			}
		}
		if used != 1 || d.Reason == "" {
			t.Fatalf("%d signals used, reason %q", used, d.Reason)
		}
	})
}

// TestErrorsRepeatNoFile: a secret that was put into a file by mistake, wherever it
// stands there, is not in the error nor in what was looked at.
func TestErrorsRepeatNoFile(t *testing.T) {
	t.Parallel()
	const canary = "hunter2"
	for _, path := range []string{ours, ".azureml/config.json", "home/me/config.json"} {
		for _, text := range []string{
			canary, `"` + canary + `"`, `["` + canary + `"]`, `{"` + canary + `": 1}`, `{"url": "` + canary + `"}`, `{"url": ["` + canary + `"]}`,
			`{"url": "` + canary + `:x"}`, `{"url": "://` + canary + `"}`, `{"url": "vault://` + canary + `@h/s"}`, `{"url": "vault://h/s#` + canary + `"}`,
			`{"url": "memory://"} ` + canary, `{"subscription_id": "S", "key": "` + canary + `"}`, `{"subscription_id": ["` + canary + `"]}`,
			`{"Scope": "/subscriptions/` + canary + `"}`, `{"subscription_id": "S", "workspace_name": ` + canary,
		} {
			d, err := runctx.Detect(fakeEnv(t, nil, map[string]string{path: text}))
			if all := fmt.Sprintf("%v %+v %#v %s", err, err, d, d); strings.Contains(all, canary) {
				t.Errorf("%s with %s shows the secret: %s", path, text, all)
			}
		}
	}
}
