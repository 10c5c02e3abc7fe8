package azurekv_test

import (
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/azurekv"
	"github.com/mlsecrets/secretstore/backends/azurekv/azurekvtest"
)

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	server, store := serve(t, azurekvtest.Options{})
	for i, value := range []string{
		"", "s3cr3t", "with\nnewline\n", "\x00", "\xff\xfe\x00 not text", "äöü€😀", `{"json":"\u0000"}`,
		strings.Repeat("x", secretstore.MaxTextLen), strings.Repeat("\xff", secretstore.MaxBinaryLen),
	} {
		name := fmt.Sprintf("Value-%d", i)
		mustSet(t, store, name, value)
		wantValue(t, store, strings.ToUpper(name), value)
		wantValue(t, store, name, value)
	}
	for _, r := range server.Requests() {
		if r.Proto != "HTTP/2.0" {
			t.Fatalf("a request came over %s", r.Proto)
		}
	}
}

func TestStoredForm(t *testing.T) {
	t.Parallel()
	server, store := serve(t, azurekvtest.Options{})
	mustSet(t, store, "text", "as it is")
	if got, _ := server.Value("text"); got != "as it is" {
		t.Errorf("text is stored as %q", got)
	}
	mustSet(t, store, "binary", "\xff\x00")
	if got, _ := server.Value("binary"); got != "/wA=" {
		t.Errorf("binary is stored as %q", got)
	}
	// What other tools wrote.
	server.Put("By-Hand", "/wA=")
	wantValue(t, store, "by-hand", "/wA=")
}

func TestNamesAreFolded(t *testing.T) {
	t.Parallel()
	server, store := serve(t, azurekvtest.Options{})
	server.Put("DB-Password", "one")
	wantValue(t, store, "db-password", "one")
	mustSet(t, store, "Db-Password", "two")
	wantValue(t, store, "DB-PASSWORD", "two")
	if got, err := store.List(t.Context()); err != nil || !slices.Equal(got, []string{"db-password"}) {
		t.Errorf("List is %q, %v", got, err)
	}
}

func TestDisabled(t *testing.T) {
	t.Parallel()
	server, store := serve(t, azurekvtest.Options{})
	fill(server.Vault, names(3))
	server.Disable("secret-00001")
	_, err := store.Get(t.Context(), "secret-00001")
	if e := wantError(t, err, secretstore.ErrDenied); !strings.Contains(e.Detail, "disabled") {
		t.Errorf("the error is %v", e)
	}
	got, err := store.List(t.Context())
	if want := []string{"secret-00000", "secret-00002"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("List is %q, %v", got, err)
	}
	values, err := store.GetBatch(t.Context(), names(3))
	if b, ok := errors.AsType[*secretstore.BatchError](err); len(values) != 2 || !ok || len(b.Errs) != 1 || b.Errs[0].Name != "secret-00001" {
		t.Errorf("GetBatch has %d values, %v", len(values), err)
	}
	mustSet(t, store, "secret-00001", "enabled again")
	wantValue(t, store, "secret-00001", "enabled again")
}

func TestManagedByCertificate(t *testing.T) {
	t.Parallel()
	server, store := serve(t, azurekvtest.Options{})
	server.PutManaged("tls", "pkcs12")
	wantValue(t, store, "tls", "pkcs12")
	for what, err := range map[string]error{
		"Set":    store.Set(t.Context(), "tls", text("x")),
		"Delete": store.(secretstore.Deleter).Delete(t.Context(), "tls"),
	} {
		if e := wantError(t, err, secretstore.ErrConflict); !strings.Contains(e.Detail, "certificate") {
			t.Errorf("%s: %v", what, e)
		}
	}
	wantValue(t, store, "tls", "pkcs12")
}

func TestNotFound(t *testing.T) {
	t.Parallel()
	_, store := serve(t, azurekvtest.Options{})
	_, err := store.Get(t.Context(), "absent")
	if e := wantError(t, err, secretstore.ErrNotFound); e.Status != 404 || e.RequestID == "" || e.Backend != "azurekv" {
		t.Errorf("the error is %#v", e)
	}
}

func TestMissingRights(t *testing.T) {
	t.Parallel()
	server, store := serve(t, azurekvtest.Options{})
	fill(server.Vault, names(3))
	server.DenyName("secret-00000")
	values, err := store.GetBatch(t.Context(), names(3))
	wantError(t, err, secretstore.ErrDenied)
	if len(values) != 2 {
		t.Errorf("one denied name left %d of 2 others", len(values))
	}
	server.Deny(azurekvtest.Set, azurekvtest.List, azurekvtest.Delete)
	wantError(t, store.Set(t.Context(), "secret-00001", text("x")), secretstore.ErrDenied)
	wantError(t, store.(secretstore.Deleter).Delete(t.Context(), "secret-00001"), secretstore.ErrDenied)
	_, err = store.List(t.Context())
	wantError(t, err, secretstore.ErrDenied)
	wantValue(t, store, "secret-00001", "value of secret-00001")
}

func TestListPages(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 24, 25, 26, 50, 51, 300} {
		for _, empty := range []int{0, 2} {
			server, store := serve(t, azurekvtest.Options{EmptyPages: empty})
			want := names(n)
			fill(server.Vault, want)
			got, err := store.List(t.Context())
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("List of %d with %d empty pages has %d, %v", n, empty, len(got), err)
			}
		}
	}
}

// A next link names the host with its port. With it, the client's check of a
// challenge would fail, which comes up when a token expires within a listing.
func TestTokenExpiresWithinListing(t *testing.T) {
	t.Parallel()
	server, _ := serve(t, azurekvtest.Options{})
	fill(server.Vault, names(60))
	expiring := &everyRequest{do: server.ExpireTokens}
	expiring.Handler = server.Vault
	second := server.ServeHandler(expiring)
	t.Cleanup(second.Close)
	store := open(t, second.Config())
	got, err := store.List(t.Context())
	if err != nil || len(got) != 60 {
		t.Errorf("List has %d of 60, %v", len(got), err)
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	vault := azurekvtest.NewVault(azurekvtest.Options{})
	good := azurekv.Config{VaultURL: vault.URL(), Credential: vault.Credential()}
	for _, url := range []string{
		"https://name.vault.azure.net", "https://name.vault.azure.net/", "https://name.vault.azure.cn",
		"https://name.vault.usgovcloudapi.net", "https://localhost:8443",
	} {
		c := good
		c.VaultURL = url
		store, err := azurekv.Open(t.Context(), c)
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		store.Close()
	}
	for url, want := range map[string]string{
		"":                            "no vault URL",
		"name":                        "not https",
		"http://name.vault.azure.net": "not https",
		"https://user:hunter2@name.vault.azure.net":    "user or password",
		"https://name.vault.azure.net/secrets/x":       "path, query",
		"https://name.vault.azure.net?sig=hunter2":     "path, query",
		"https://name.managedhsm.azure.net":            "managed HSM",
		"https://name.privatelink.vaultcore.azure.net": "private endpoint",
		"https://hunter2.vault.azure.net:port":         "can't be parsed",
	} {
		c := good
		c.VaultURL = url
		_, err := azurekv.Open(t.Context(), c)
		e := wantError(t, err, secretstore.ErrInvalidConfig)
		if !strings.Contains(e.Detail, want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", url, err)
		}
	}
	_, err := azurekv.Open(t.Context(), azurekv.Config{VaultURL: vault.URL()})
	if e := wantError(t, err, secretstore.ErrInvalidConfig); !strings.Contains(e.Detail, "Credential") {
		t.Errorf("no credential: %v", e)
	}
}

func TestEmulatorOptions(t *testing.T) {
	t.Parallel()
	server := azurekvtest.NewServer(azurekvtest.Options{})
	t.Cleanup(server.Close)
	server.Put("name", "value")
	c := server.Config()
	c.VaultURL = "https://" + server.Addr().String()
	_, err := open(t, c).Get(t.Context(), "name")
	if e := wantError(t, err, secretstore.ErrUnavailable); !strings.Contains(e.Detail, "another service") {
		t.Errorf("with the check of the challenge: %v", e)
	}
	if n := server.TokenCalls(); n != 0 {
		t.Errorf("%d tokens were asked for, before the check", n)
	}
	c.DisableChallengeVerification = true
	c.ClientOptions.APIVersion = "7.6"
	wantValue(t, open(t, c), "name", "value")
}

// Only what is imported is linked: a caller with a credential of its own has no use
// for a library that brings one.
func TestDependencies(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "github.com/mlsecrets/secretstore/backends/azurekv").Output()
	if err != nil {
		t.Fatal(err)
	}
	deps := strings.Fields(string(out))
	if !slices.Contains(deps, "github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets") {
		t.Fatalf("the list of %d dependencies is not azurekv's", len(deps))
	}
	for _, dep := range deps {
		for _, bad := range []string{"azidentity", "microsoft-authentication-library", "hashicorp", "bbolt", "azurekvtest", "azcore/arm"} {
			if strings.Contains(dep, bad) {
				t.Errorf("azurekv links %s", dep)
			}
		}
	}
}

var _ azcore.TokenCredential = (*azurekvtest.Credential)(nil)
