package vault

import "os"

// Environ returns the variables, as "NAME=value", that lead a child process to the
// same server: its address, namespace and authorities, where they are set. It holds no
// token and no client key. An address with a credential in it is left out.
func Environ() []string {
	var environ []string
	for _, name := range []string{"VAULT_ADDR", "VAULT_NAMESPACE", "VAULT_CACERT", "VAULT_CACERT_BYTES", "VAULT_CAPATH", "VAULT_TLS_SERVER_NAME"} {
		value := os.Getenv(name)
		if value == "" || name == "VAULT_ADDR" && checkAddress(value) != nil {
			continue
		}
		environ = append(environ, name+"="+value)
	}
	return environ
}
