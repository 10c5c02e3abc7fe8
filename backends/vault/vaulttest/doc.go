// Package vaulttest is a small HashiCorp Vault in the process of a test: KV version 2
// at secret/, tokens, an AppRole, sealing, and faults.
//
//	server := vaulttest.Start(t)
//	store, err := vault.Open(ctx, server.Config("team/app"))
//
// It answers as the real server does: the tests of backends/vault put the same requests
// to both, and run the same conformance suite over both. It knows no policies; see
// [Server.Inject] for refusals.
package vaulttest
