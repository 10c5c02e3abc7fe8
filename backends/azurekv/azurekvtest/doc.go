// Package azurekvtest is a key vault in the process, for tests of programs that
// use Azure Key Vault, and for our own.
//
// [NewServer] listens on the loopback interface and speaks HTTPS and HTTP/2. It
// behaves as the service was recorded to: names without regard to case, versions,
// pages of 25, deletion that can be undone and takes its time, disabled secrets,
// secrets that belong to a certificate, the authentication challenge, throttling,
// and the two kinds of 403. What is known of the service from documents alone, or
// only supposed, stands with its source in testdata/golden.jsonl, which is
// replayed against the vault together with recorded exchanges.
//
// The real client needs nothing turned off. Its URL has no port, as the check of
// the challenge's resource demands; [Server.Client] connects to the listener
// whatever the host, and trusts the server's certificate alone.
//
//	server := azurekvtest.NewServer(azurekvtest.Options{})
//	defer server.Close()
//	store, err := azurekv.Open(ctx, server.Config())
//
// [Vault] is the same without a listener: an [http.Handler] that can stand in a
// bubble of testing/synctest, where ten seconds of waiting cost nothing.
//
// Faults are injected with [Vault.Inject], rights taken away with [Vault.Deny],
// and requests counted with [Vault.Requests].
package azurekvtest
