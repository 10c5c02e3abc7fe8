// Package vault keeps secrets in HashiCorp Vault, in a KV version 2 secrets engine.
//
//	store, err := vault.Open(ctx, vault.Config{Mount: "secret", Prefix: "team/app"})
//
// Address, certificates and namespace come from the environment as for the vault
// command, where the Config doesn't say them, and so does the token; see [Token]
// and the other ways to log in. The store logs in at its first use, renews its token in
// the background, and logs in again when a token has run out, once for all callers.
//
// # Layouts
//
// With [Paths], the default, each secret is a Vault secret of its own at
// mount/prefix/name, with the field value (or another; see Config.Field). A value that
// is not UTF-8 text stands there as base64, beside the field value-encoding with the
// text base64. Set replaces the whole Vault secret, in a new version.
//
// With [Map], all secrets are fields of the one Vault secret mount/prefix, which is how
// a job's secrets often lie already. One request reads any number of them, and SetBatch
// is atomic: a patch with check-and-set, so that fields of others stay. A value that is
// not text has the field name.encoding beside it.
//
// # Policies
//
// What a store needs, and no more, stands in the folder policy, and is what the tests
// use: read.hcl and write.hcl for Paths, read-map.hcl and write-map.hcl for Map. For
// instance, to read and write the secrets below secret/team/app:
//
//	path "secret/data/team/app/*"     { capabilities = ["create", "read", "update"] }
//	path "secret/metadata/team/app/*" { capabilities = ["delete"] }
//	path "secret/metadata/team/app/"  { capabilities = ["list"] }
//
// # What the server does
//
// Delete removes all versions of a secret (with Map: its field). A name whose latest
// version another tool has deleted is [secretstore.ErrNotFound] to Get; with Paths, List
// still has it, because Vault's listing can't tell. Folders, and what others keep under
// names outside the grammar or in upper case, are left out of List. A mount that is not
// there, or is no KV version 2, is [secretstore.ErrUnavailable] with a detail that says
// so, and never ErrNotFound.
//
// Vault answers the same when a token has run out and when its policies don't allow a
// request. The store asks which it is before it says [secretstore.ErrDenied].
//
// A server that is down, sealed or a standby is tried again for 1.5 s; one that asks
// to slow down for as long as the context has a deadline, or for a minute.
package vault
