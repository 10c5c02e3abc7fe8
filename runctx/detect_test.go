package runctx_test

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/localfile"
	"github.com/mlsecrets/secretstore/runctx"
)

// fakeEnv is an environment of variables and files; paths are below root.
func fakeEnv(t *testing.T, vars, files map[string]string) runctx.Env {
	t.Helper()
	root := t.TempDir() // only a name: nothing is read from there
	placed := map[string]string{}
	for path, text := range files {
		placed[filepath.Join(root, filepath.FromSlash(path))] = text
	}
	return runctx.Env{
		Getenv: func(name string) string { return vars[name] },
		Dir:    filepath.Join(root, "home", "me", "project"),
		ReadFile: func(path string) ([]byte, error) {
			if text, ok := placed[path]; ok {
				if text == "unreadable" {
					return nil, fs.ErrPermission
				}
				return []byte(text), nil
			}
			return nil, fs.ErrNotExist
		},
		DefaultStore: filepath.Join(root, "data", "store.db"),
	}
}

const (
	ours    = ".secretstore/config.json"
	amlText = `{"subscription_id": "S", "resource_group": "G", "workspace_name": "W"}`
	amlURL  = "azureml://subscriptions/S/resourceGroups/G/workspaces/W"
)

var azureRun = map[string]string{
	"AZUREML_RUN_ID": "job-1", "AZUREML_ARM_SUBSCRIPTION": "S",
	"AZUREML_ARM_RESOURCEGROUP": "G", "AZUREML_ARM_WORKSPACE_NAME": "W",
}

func with(base map[string]string, more ...string) map[string]string {
	out := map[string]string{}
	for k, v := range base {
		out[k] = v
	}
	for i := 0; i < len(more); i += 2 {
		out[more[i]] = more[i+1]
	}
	return out
}

func TestDetect(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		vars   map[string]string
		files  map[string]string
		url    string // explicit
		noHome bool

		want      string // the URL; "file" is the default store
		submitted string // run id
		used      string // signal
		says      string // in what the decision says
		wantErr   []string
	}{
		{name: "nothing", want: "file", used: "local file"},
		{name: "nothing, and no home", noHome: true, wantErr: []string{"home folder", "SECRETSTORE_URL"}},
		{name: "SECRETSTORE_URL and no home", noHome: true, vars: with(nil, "SECRETSTORE_URL", "memory://"), want: "memory://", used: "SECRETSTORE_URL"},
		{name: "SECRETSTORE_URL", vars: with(nil, "SECRETSTORE_URL", "memory://"), want: "memory://", used: "SECRETSTORE_URL"},
		{name: "explicit outranks all", vars: with(azureRun, "SECRETSTORE_URL", "memory://"), url: "file:///x/y.db",
			want: "file:///x/y.db", used: "explicit choice", submitted: "job-1"},
		{name: "SECRETSTORE_URL outranks an Azure ML run", vars: with(azureRun, "SECRETSTORE_URL", "memory://"),
			want: "memory://", used: "SECRETSTORE_URL", submitted: "job-1"},
		{name: "SECRETSTORE_URL outranks a conflict below it",
			vars:  with(nil, "SECRETSTORE_URL", "memory://", "VAULT_ADDR", "https://v:8200", "KEY_VAULT_URL", "https://kv.vault.azure.net"),
			files: map[string]string{"home/me/project/" + ours: "not even JSON"}, want: "memory://", used: "SECRETSTORE_URL"},
		{name: "Azure ML run", vars: azureRun, want: amlURL, used: "Azure ML run", submitted: "job-1"},
		{name: "Azure ML run outranks a workspace file", vars: azureRun,
			files: map[string]string{"home/me/project/" + ours: `{"url": "memory://"}`}, want: amlURL, used: "Azure ML run", submitted: "job-1"},
		{name: "Azure ML run without a workspace", vars: with(nil, "AZUREML_RUN_ID", "job-2"), submitted: "job-2",
			wantErr: []string{"job-2", "SECRETSTORE_URL"}},
		{name: "submitted run without a signal", vars: with(nil, "SECRETSTORE_RUN_ID", "run-7"), submitted: "run-7",
			wantErr: []string{"run-7", "Run.Environ", "SECRETSTORE_URL"}},
		{name: "submitted run with a URL", vars: with(nil, "SECRETSTORE_RUN_ID", "run-7", "SECRETSTORE_URL", "file:///a/b.db"),
			want: "file:///a/b.db", used: "SECRETSTORE_URL", submitted: "run-7"},
		{name: "submitted run with a workspace file", vars: with(nil, "SECRETSTORE_RUN_ID", "run-7"),
			files: map[string]string{ours: `{"url": "memory://"}`}, want: "memory://", used: "workspace file", submitted: "run-7"},

		{name: "workspace file", files: map[string]string{"home/me/project/" + ours: `{"url": "memory://"}`}, want: "memory://", used: "workspace file"},
		{name: "workspace file above", files: map[string]string{"home/" + ours: `{"url": "memory://"}`}, want: "memory://", used: "workspace file"},
		{name: "the nearer workspace file", files: map[string]string{"home/" + ours: `{"url": "memory://"}`, "home/me/" + ours: `{"url": "file:///n.db"}`},
			want: "file:///n.db", used: "workspace file"},
		{name: "ours outranks Azure ML's", files: map[string]string{ours: `{"url": "memory://"}`, "home/me/project/.azureml/config.json": amlText},
			want: "memory://", used: "workspace file"},
		{name: "workspace file is not JSON", files: map[string]string{ours: "url: memory://"}, wantErr: []string{"config.json", "can't be understood"}},
		{name: "workspace file with a credential as an unknown key", files: map[string]string{ours: `{"url": "memory://", "token": "hunter2"}`},
			wantErr: []string{"can't be understood"}},
		{name: "workspace file with a tail", files: map[string]string{ours: `{"url": "memory://"} hunter2`}, wantErr: []string{"behind its end"}},
		{name: "workspace file without a url", files: map[string]string{ours: `{}`}, wantErr: []string{"has no url"}},
		{name: "workspace file with a credential in the url", files: map[string]string{ours: `{"url": "vault://me:hunter2@host/secret"}`},
			wantErr: []string{"user or password"}},
		{name: "workspace file unreadable", files: map[string]string{ours: "unreadable"}, wantErr: []string{"can't read"}},

		{name: "Azure ML file", files: map[string]string{"home/me/project/.azureml/config.json": amlText}, want: amlURL, used: "workspace file"},
		{name: "Azure ML: aml_config/project.json above", files: map[string]string{"home/aml_config/project.json": amlText}, want: amlURL, used: "workspace file"},
		{name: "Azure ML: config.json in the folder", files: map[string]string{"home/me/project/config.json": amlText}, want: amlURL, used: "workspace file"},
		{name: "Azure ML: the kind of folder outranks nearness",
			files: map[string]string{".azureml/config.json": amlText, "home/me/project/config.json": strings.ReplaceAll(amlText, "W", "other")},
			want:  amlURL, used: "workspace file"},
		{name: "Azure ML: Scope", files: map[string]string{".azureml/config.json": `{"Scope": "/subscriptions/S/resourceGroups/G/providers/Microsoft.MachineLearningServices/workspaces/W"}`},
			want: amlURL, used: "workspace file"},
		{name: "Azure ML: half a file", files: map[string]string{"home/me/config.json": `{"subscription_id": "S"}`}, wantErr: []string{"resource_group"}},
		{name: "another program's config.json", files: map[string]string{"home/me/project/config.json": `{"port": 80}`}, want: "file", used: "local file"},
		{name: "another program's config.json, not JSON", files: map[string]string{"home/me/project/config.json": `// hello`}, want: "file", used: "local file"},
		{name: "a broken .azureml/config.json", files: map[string]string{"home/me/.azureml/config.json": `oops`}, wantErr: []string{"workspace file of Azure ML"}},

		{name: "VAULT_ADDR", vars: with(nil, "VAULT_ADDR", "http://127.0.0.1:8200"), want: "vault:///secret/secretstore", used: "VAULT_ADDR"},
		{name: "VAULT_ADDR with a path", vars: with(nil, "VAULT_ADDR", "https://v", "SECRETSTORE_VAULT_PATH", "/kv/team/ml/"), want: "vault:///kv/team/ml", used: "VAULT_ADDR"},
		{name: "VAULT_ADDR without a scheme", vars: with(nil, "VAULT_ADDR", "v:8200"), wantErr: []string{"https://vault.example.com:8200"}},
		{name: "VAULT_ADDR with a password", vars: with(nil, "VAULT_ADDR", "https://me:hunter2@v:8200"), wantErr: []string{"user or password"}},
		{name: "SECRETSTORE_VAULT_PATH with ..", vars: with(nil, "VAULT_ADDR", "https://v", "SECRETSTORE_VAULT_PATH", "secret/../sys"), wantErr: []string{"SECRETSTORE_VAULT_PATH"}},
		{name: "KEY_VAULT_URL", vars: with(nil, "KEY_VAULT_URL", "https://team.vault.azure.cn/"), want: "azurekv://team.vault.azure.cn", used: "KEY_VAULT_URL"},
		{name: "KEY_VAULT_URL that is none", vars: with(nil, "KEY_VAULT_URL", "team"), wantErr: []string{"https://name.vault.azure.net"}},

		{name: "a workspace file and VAULT_ADDR", vars: with(nil, "VAULT_ADDR", "https://v"), files: map[string]string{ours: `{"url": "memory://"}`},
			wantErr: []string{"workspace file", "memory://", "VAULT_ADDR", "vault:///secret/secretstore", "SECRETSTORE_URL"}},
		{name: "VAULT_ADDR and KEY_VAULT_URL", vars: with(nil, "VAULT_ADDR", "https://v", "KEY_VAULT_URL", "https://kv.vault.azure.net"),
			wantErr: []string{"vault:///", "azurekv://kv.vault.azure.net"}},
		{name: "a workspace file and VAULT_ADDR that agree", vars: with(nil, "VAULT_ADDR", "https://v"),
			files: map[string]string{ours: `{"url": "vault:///secret/secretstore"}`}, want: "vault:///secret/secretstore", used: "workspace file"},

		{name: "a parameter that no store takes, in SECRETSTORE_URL", vars: with(nil, "SECRETSTORE_URL", "vault://v/kv/team?namespace=ml&token=hunter2"),
			want: "vault://v/kv/team?namespace=ml&…", used: "SECRETSTORE_URL"},
		{name: "a parameter that is all secret, in the explicit choice", url: "vault://v/kv/team?hunter2", want: "vault://v/kv/team?…", used: "explicit choice"},
		{name: "parameters that can't be parsed", url: "vault://v/kv/team?namespace=ml;token=hunter2", want: "vault://v/kv/team?…", used: "explicit choice"},
		{name: "a conflict of a URL with a token", vars: with(nil, "KEY_VAULT_URL", "https://kv.vault.azure.net"),
			files: map[string]string{ours: `{"url": "vault://v/kv/team?token=hunter2"}`}, wantErr: []string{"vault://v/kv/team?…", "azurekv://kv"}},
		{name: "VAULT_ADDR with a token", vars: with(nil, "VAULT_ADDR", "https://v:8200?token=hunter2"), wantErr: []string{"VAULT_ADDR", "parameters"}},
		{name: "KEY_VAULT_URL with a password", vars: with(nil, "KEY_VAULT_URL", "https://me:hunter2@kv.vault.azure.net"), wantErr: []string{"KEY_VAULT_URL"}},
		{name: "KEY_VAULT_URL with a token", vars: with(nil, "KEY_VAULT_URL", "https://kv.vault.azure.net?sig=hunter2"), wantErr: []string{"KEY_VAULT_URL"}},

		{name: "VAULT_ADDR completes the URL of the workspace file", vars: with(nil, "VAULT_ADDR", "http://127.0.0.1:8200"),
			files: map[string]string{ours: `{"url": "vault:///kv/team?auth=approle"}`}, want: "vault:///kv/team?auth=approle", used: "workspace file"},
		{name: "VAULT_ADDR is the server of the workspace file's URL", vars: with(nil, "VAULT_ADDR", "https://V:8200/"),
			files: map[string]string{ours: `{"url": "vault://v:8200/kv/team"}`}, want: "vault://v:8200/kv/team", used: "workspace file"},
		{name: "VAULT_ADDR is another server", vars: with(nil, "VAULT_ADDR", "https://w:8200"),
			files: map[string]string{ours: `{"url": "vault://v:8200/kv/team"}`}, wantErr: []string{"vault://v:8200/kv/team", "VAULT_ADDR", "https://w:8200"}},
		{name: "VAULT_ADDR is the server without TLS", vars: with(nil, "VAULT_ADDR", "http://v:8200"),
			files: map[string]string{ours: `{"url": "vault://v:8200/kv/team"}`}, wantErr: []string{"vault://v:8200/kv/team", "VAULT_ADDR"}},
		{name: "SECRETSTORE_VAULT_PATH says otherwise", vars: with(nil, "VAULT_ADDR", "https://v", "SECRETSTORE_VAULT_PATH", "kv/other"),
			files: map[string]string{ours: `{"url": "vault:///kv/team"}`}, wantErr: []string{"vault:///kv/team", "vault:///kv/other"}},
		{name: "SECRETSTORE_VAULT_PATH says the same", vars: with(nil, "VAULT_ADDR", "https://v", "SECRETSTORE_VAULT_PATH", "kv/team"),
			files: map[string]string{ours: `{"url": "vault://v:443/kv/team/?auth=kubernetes&role=r"}`}, want: "vault://v:443/kv/team/?auth=kubernetes&role=r", used: "workspace file"},
		{name: "another layout is another store", vars: with(nil, "VAULT_ADDR", "https://v", "SECRETSTORE_VAULT_PATH", "kv/team"),
			files: map[string]string{ours: `{"url": "vault:///kv/team?layout=map"}`}, wantErr: []string{"layout=map", "vault:///kv/team"}},
		{name: "VAULT_ADDR is a socket", vars: with(nil, "VAULT_ADDR", "unix:///run/vault.sock"), want: "vault:///secret/secretstore", used: "VAULT_ADDR"},
		{name: "SECRETSTORE_VAULT_PATH alone", vars: with(nil, "SECRETSTORE_VAULT_PATH", "kv/team"), want: "file", used: "local file", says: "names no store"},
		{name: "KEY_VAULT_URL is the workspace file's vault", vars: with(nil, "KEY_VAULT_URL", "https://Team.vault.azure.net:443/"),
			files: map[string]string{ours: `{"url": "azurekv://team"}`}, want: "azurekv://team", used: "workspace file"},
		{name: "KEY_VAULT_URL is a vault of that name in another cloud", vars: with(nil, "KEY_VAULT_URL", "https://team.vault.azure.cn"),
			files: map[string]string{ours: `{"url": "azurekv://team"}`}, wantErr: []string{"azurekv://team,", "azurekv://team.vault.azure.cn"}},

		{name: "another program's Scope", files: map[string]string{"home/me/config.json": `{"Scope": "openid"}`}, want: "file", used: "local file", says: "not Azure ML's"},
		{name: "Azure ML: a Scope cut short", files: map[string]string{"home/me/config.json": `{"Scope": "/subscriptions/S/resourceGroups/G"}`}, wantErr: []string{"config.json", "workspace_name"}},
		{name: "Azure ML: config.json with a comma too many", files: map[string]string{"home/me/config.json": strings.Replace(amlText, `"W"`, `"W",`, 1)},
			wantErr: []string{"config.json", "JSON", "SECRETSTORE_URL"}},
		{name: "Azure ML: config.json with a byte order mark", files: map[string]string{"home/me/config.json": "\ufeff" + amlText}, want: amlURL, used: "workspace file"},
		{name: "ours with a byte order mark", files: map[string]string{ours: "\ufeff" + `{"url": "memory://"}`}, want: "memory://", used: "workspace file"},
		{name: "Azure ML: keys of another type", files: map[string]string{"home/me/config.json": `{"subscription_id": ["hunter2"], "resource_group": 1, "workspace_name": null}`},
			wantErr: []string{"subscription_id"}},
		{name: "Azure ML: project.json after config.json in all folders",
			files: map[string]string{"home/me/project/.azureml/project.json": strings.ReplaceAll(amlText, "W", "other"), ".azureml/config.json": amlText},
			want:  amlURL, used: "workspace file"},
		{name: "a .azureml/config.json of another program", files: map[string]string{"home/.azureml/config.json": `{}`}, want: "file", used: "local file", says: "not Azure ML's"},
		{name: "a submitted run and another program's config.json", vars: with(nil, "SECRETSTORE_RUN_ID", "run-8"), submitted: "run-8",
			files: map[string]string{"home/me/config.json": `{"port": 80}`}, wantErr: []string{"run-8"}},
		{name: "both run ids", vars: with(azureRun, "SECRETSTORE_RUN_ID", "run-9"), want: amlURL, used: "Azure ML run", submitted: "run-9"},

		{name: "SECRETSTORE_URL with a password", vars: with(nil, "SECRETSTORE_URL", "vault://me:hunter2@host/secret"), wantErr: []string{"SECRETSTORE_URL", "user or password"}},
		{name: "SECRETSTORE_URL that can't be parsed", vars: with(nil, "SECRETSTORE_URL", "://hunter2%zz"), wantErr: []string{"SECRETSTORE_URL"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			env := fakeEnv(t, tt.vars, tt.files)
			env.URL = tt.url
			if tt.noHome {
				env.DefaultStore = ""
			}
			d, err := runctx.Detect(env)
			if d.RunID != tt.submitted || d.Submitted != (tt.submitted != "") {
				t.Errorf("got run %q (submitted %v), want %q", d.RunID, d.Submitted, tt.submitted)
			}
			if len(d.Signals) == 0 {
				t.Error("got no signals")
			}
			if strings.Contains(fmt.Sprintf("%s %#v", d, d), "hunter2") || err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the credential shows in %v, %v", d, err)
			}
			if tt.wantErr != nil {
				if !errors.Is(err, secretstore.ErrInvalidConfig) {
					t.Fatalf("got %v, want ErrInvalidConfig", err)
				}
				for _, s := range d.Signals {
					if s.Used {
						t.Errorf("the signal %s is used, and there is no decision", s.Name)
					}
				}
				if d.URL != "" || !strings.Contains(d.String(), "none") {
					t.Errorf("got the store %q beside an error, and the text %s", d.URL, d)
				}
				for _, part := range tt.wantErr {
					if !strings.Contains(err.Error(), part) {
						t.Errorf("got error %q, want %q in it", err, part)
					}
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := tt.want
			if want == "file" {
				want = localfile.FileURL(env.DefaultStore)
			}
			if d.URL != want {
				t.Errorf("got %s, want %s", d.URL, want)
			}
			var used []string
			for _, s := range d.Signals {
				if s.Used {
					used = append(used, s.Name)
				}
			}
			if len(used) != 1 || used[0] != tt.used {
				t.Errorf("got signals %q used, want %q", used, tt.used)
			}
			if !strings.Contains(d.String(), tt.says) {
				t.Errorf("want %q in what the decision says: %s", tt.says, d)
			}
			if d.Reason == "" || !strings.Contains(d.String(), d.URL) || !strings.Contains(d.String(), d.Reason) {
				t.Errorf("the decision does not explain itself: %s", d)
			}
		})
	}
}

// TestDetectReadsNoCredential: Detect asks for the variables that name a store, and
// for no token.
func TestDetectReadsNoCredential(t *testing.T) {
	t.Parallel()
	known := []string{"SECRETSTORE_URL", "SECRETSTORE_RUN_ID", "SECRETSTORE_VAULT_PATH", "VAULT_ADDR", "KEY_VAULT_URL",
		"AZUREML_RUN_ID", "AZUREML_ARM_SUBSCRIPTION", "AZUREML_ARM_RESOURCEGROUP", "AZUREML_ARM_WORKSPACE_NAME"}
	for _, vars := range []map[string]string{nil, azureRun, with(nil, "VAULT_ADDR", "https://v", "KEY_VAULT_URL", "https://kv.vault.azure.net")} {
		env := fakeEnv(t, vars, map[string]string{ours: `{"url": "vault:///kv/team"}`})
		getenv := env.Getenv
		env.Getenv = func(name string) string {
			if !slices.Contains(known, name) {
				t.Errorf("Detect reads %s", name)
			}
			return getenv(name)
		}
		// Whether there is a decision is TestDetect's matter.
		_, _ = runctx.Detect(env)
	}
}

// TestHostEnv: what the process itself is in, when it is a test, is detected
// without an error.
func TestHostEnv(t *testing.T) {
	t.Setenv("SECRETSTORE_URL", "memory://")
	env, err := runctx.HostEnv()
	if err != nil {
		t.Fatal(err)
	}
	d, err := runctx.Detect(env)
	if err != nil || d.URL != "memory://" {
		t.Errorf("got %v, %v; want memory://", d.URL, err)
	}
}
