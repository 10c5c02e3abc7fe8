// Package vault keeps secrets in HashiCorp Vault, in a KV engine of version 2.
//
//	store, err := vault.Open(ctx, vault.Config{Mount: "secret", Prefix: "app"})
//
// The server, its TLS settings and the namespace come from the environment (VAULT_ADDR,
// VAULT_CACERT, VAULT_NAMESPACE and so on) where [Config] doesn't say them; the login
// is an [Auth]. Open logs in and looks at the mount, so that a wrong mount is an error
// at once and not a store without secrets.
//
// # Layouts
//
// With [Paths] each secret is a Vault secret of its own, mount/prefix/name, and
// its value is the field "value", as in
//
//	vault kv put -mount=secret app/db-password value=-
//
// [Config.Field] chooses another field. Set writes a version with that field alone.
// A batch is one request a name, up to 64 at a time. Delete removes all versions.
//
// With [Map] all secrets are fields of the one Vault secret mount/prefix, as in
//
//	vault kv patch -mount=secret app db-password=-
//
// A batch is one request, SetBatch and Delete are atomic and leave other fields as they
// are, and List needs no rights of its own. Each write is a new version of the whole;
// what was deleted stays in the older versions that the engine keeps (ten, if it isn't
// told otherwise) until they are destroyed. The whole must fit the server's storage,
// which for raft is 1 MiB.
//
// A value that is not UTF-8 is stored as base64, with the field name.encoding (so
// value.encoding with Paths) set to "base64".
//
// # What others wrote
//
// A name in Vault that is not canonical (with capitals, an underscore, a slash) is left
// out of List, and can't be read: Vault tells names in capitals from others. A secret
// whose latest version was deleted or destroyed, and one without the field, are
// ErrNotFound. With Paths, List still shows a name of which another tool deleted
// the latest version: Vault's listing can't tell. A field that holds no string is
// ErrConflict.
//
// # Policies
//
// What a store at secret/team/app needs, and no more, stands in the folder policy and
// here, and is what the tests use. A run that reads needs, with [Paths],
//
//	path "secret/data/team/app/*" {
//	  capabilities = ["read"]
//	}
//	path "secret/metadata/team/app/" {
//	  capabilities = ["list"]
//	}
//
// and one that writes
//
//	path "secret/data/team/app/*" {
//	  capabilities = ["create", "read", "update"]
//	}
//	path "secret/metadata/team/app/*" {
//	  capabilities = ["delete"]
//	}
//	path "secret/metadata/team/app/" {
//	  capabilities = ["list"]
//	}
//
// With [Map] one that reads needs
//
//	path "secret/data/team/app" {
//	  capabilities = ["read"]
//	}
//
// and one that writes
//
//	path "secret/data/team/app" {
//	  capabilities = ["create", "read", "update", "patch"]
//	}
//
// Beside these, the token looks at and renews itself, which Vault's policy "default"
// allows. Without that policy it works, and is not renewed.
//
// # Tokens
//
// While a store is open its token is renewed in the background, and replaced by a new
// login when it can't be renewed any more. A token that was revoked, or ended while the
// machine slept, is noticed when the server refuses it: one login then serves all
// callers, and the calls go on. Close ends the renewal. It doesn't revoke the token.
//
// # Trying again
//
// A call that is throttled (429) pauses for as long as Retry-After says, or for longer
// and longer, until the context ends or for one minute, and then is ErrThrottled. When
// there is no answer, or the server is sealed or a standby, a call is tried four times
// within about a second, and then is ErrUnavailable. A write of which it isn't known
// whether the server carried it out is not sent again. One try takes at most
// VAULT_CLIENT_TIMEOUT (60 s).
//
// Package vaulttest has a server for tests.
package vault
