package runctx

import (
	"bytes"
	"encoding/json"
	"net/url"
	"path/filepath"
	"strings"
)

// azureMLURL is the URL of a workspace's default key vault.
func azureMLURL(subscription, group, workspace string) string {
	return "azureml://subscriptions/" + url.PathEscape(subscription) +
		"/resourceGroups/" + url.PathEscape(group) + "/workspaces/" + url.PathEscape(workspace)
}

// azureMLRun is the signal of a run that Azure ML has started. The variables are
// those that azureml-core reads.
func azureMLRun(env Env) finding {
	const name = "Azure ML run"
	if env.Getenv("AZUREML_RUN_ID") == "" {
		return absentSignal(name, "AZUREML_RUN_ID is not set")
	}
	values := map[string]string{}
	for _, v := range []string{"AZUREML_ARM_SUBSCRIPTION", "AZUREML_ARM_RESOURCEGROUP", "AZUREML_ARM_WORKSPACE_NAME"} {
		if values[v] = env.Getenv(v); values[v] == "" {
			return absentSignal(name, "AZUREML_RUN_ID is set, but not "+v)
		}
	}
	store := azureMLURL(values["AZUREML_ARM_SUBSCRIPTION"], values["AZUREML_ARM_RESOURCEGROUP"], values["AZUREML_ARM_WORKSPACE_NAME"])
	return found(name, store, store, "this is a run of Azure ML, and the store is its workspace's key vault")
}

// Azure ML's own order of search: each pair of folder and file is searched through
// all parents before the next, so that the kind of folder outranks nearness.
var (
	azureMLFolders = []string{".azureml", "aml_config", "."}
	azureMLFiles   = []string{"config.json", "project.json"}
)

// azureMLWorkspace looks for a workspace file of Azure ML. A file of that name
// that has none of its keys is some other program's.
func azureMLWorkspace(env Env) finding {
	passedOver := ""
	for _, folder := range azureMLFolders {
		for _, file := range azureMLFiles {
			for dir := range parents(env.Dir) {
				path := filepath.Join(dir, folder, file)
				text, err := env.ReadFile(path)
				if err != nil {
					if unreadable(err) && folder != "." {
						return wrong(workspaceSignal, configError("can't read %s", path))
					}
					continue
				}
				store, err := parseAzureML(text)
				switch {
				case err == errIncomplete, err == errDamaged, err != nil && folder != ".":
					return wrong(workspaceSignal, configError("%s is not a workspace file of Azure ML: %v; "+
						"download it again from the workspace, or set %s if it is another program's", path, err, EnvURL))
				case err != nil || store == "":
					passedOver = path + " is not Azure ML's"
				default:
					return found(workspaceSignal, store, path, "the workspace file "+path+" leads to its key vault")
				}
			}
		}
	}
	if passedOver != "" {
		return absentSignal(workspaceSignal, "none here or above ("+passedOver+")")
	}
	return absentSignal(workspaceSignal, "none here or above")
}

type configFileError string

func (e configFileError) Error() string { return string(e) }

const (
	errIncomplete configFileError = "it needs subscription_id, resource_group and workspace_name"
	errDamaged    configFileError = "it is not valid JSON"
	errNotJSON    configFileError = "it is not a JSON object"
)

// parseAzureML returns the URL that a workspace file leads to, or "" if the file
// is not one.
func parseAzureML(text []byte) (string, error) {
	text = bytes.TrimPrefix(text, byteOrderMark)
	var all map[string]json.RawMessage
	if json.Unmarshal(text, &all) != nil {
		// Edited by hand, it still says whose it is.
		if bytes.Contains(text, []byte(`"subscription_id"`)) && bytes.Contains(text, []byte(`"workspace_name"`)) {
			return "", errDamaged
		}
		return "", errNotJSON
	}
	get := func(key string) (value string, there bool) {
		raw, there := all[key]
		if there && json.Unmarshal(raw, &value) != nil {
			value = ""
		}
		return value, there
	}
	subscription, a := get("subscription_id")
	group, b := get("resource_group")
	workspace, c := get("workspace_name")
	// Another program's Scope is no path of Azure's.
	if scope, _ := get("Scope"); strings.HasPrefix(strings.ToLower(scope), "/subscriptions/") && !a && !b && !c {
		// /subscriptions/S/resourceGroups/G/providers/…/workspaces/W
		parts := strings.Split(scope, "/")
		if len(parts) < 9 {
			return "", errIncomplete
		}
		subscription, group, workspace, a = parts[2], parts[4], parts[8], true
	}
	if !a && !b && !c {
		return "", nil
	}
	if subscription == "" || group == "" || workspace == "" {
		return "", errIncomplete
	}
	return azureMLURL(subscription, group, workspace), nil
}
