// Package vault keeps secrets in HashiCorp Vault, in a KV version 2 secrets engine.
package vault
