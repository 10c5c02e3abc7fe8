// Package runctx finds out where the process runs and opens the store that belongs
// there, so that a program asks for a secret by name and holds no set-up code. The
// same program works on a laptop, in CI, in a workspace, and as a submitted run.
//
//	run, err := runctx.Open(ctx)
//	if err != nil {
//		return err
//	}
//	defer run.Close()
//	token, err := run.Get(ctx, "api-token")
//
// Whoever submits a run hands it [Run.Environ], which leads the run to the same
// store and holds no secret.
//
// # How the environment chooses
//
// The first signal that is there decides:
//
//  1. SECRETSTORE_URL: that store.
//  2. A submitted Azure ML run (AZUREML_RUN_ID with AZUREML_ARM_SUBSCRIPTION,
//     AZUREML_ARM_RESOURCEGROUP and AZUREML_ARM_WORKSPACE_NAME): the workspace's
//     key vault.
//  3. A workspace file, searched upward from the working directory:
//     .secretstore/config.json, which holds {"url": "…"}; else Azure ML's
//     (.azureml/config.json, aml_config/config.json, config.json, or project.json
//     in the same places): that workspace's key vault.
//  4. VAULT_ADDR: HashiCorp Vault, at the path that SECRETSTORE_VAULT_PATH names
//     (secret/secretstore if it is not set).
//  5. KEY_VAULT_URL: that key vault.
//  6. Nothing, and not a submitted run: the user's own encrypted file.
//
// Two signals of 3 to 5 that name different stores are an error that names both. A
// submitted run (SECRETSTORE_RUN_ID or AZUREML_RUN_ID is set) without a signal is
// an error: it never falls to a local file. Choosing never depends on whether a
// store answers; opening the chosen one may only fail.
//
// # URLs
//
// A URL names a store, never a credential.
//
//	file:///path/to/store.db                   the encrypted local file
//	memory://                                  in memory, for tests
//	vault://host:port/mount/prefix             HashiCorp Vault, KV version 2
//	vault:///mount/prefix                      the same, at VAULT_ADDR
//	azurekv://name                             an Azure key vault
//	azureml://subscriptions/S/resourceGroups/G/workspaces/W
//	                                           that workspace's default key vault
//
// Where a workspace file names a Vault, VAULT_ADDR with the same address is no second
// choice: it completes vault:///mount/prefix, or agrees with vault://host:port/….
// SECRETSTORE_VAULT_PATH beside it must then name the same path.
package runctx
