package runctx

import (
	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/azurekv/azureurl"
	"github.com/mlsecrets/secretstore/backends/localfile"
	"github.com/mlsecrets/secretstore/backends/memory"
	"github.com/mlsecrets/secretstore/backends/vault"
)

// Openers returns the openers of all bundled backends, in a new map. A program
// that wants fewer of them linked makes a map of its own, and a [Config] with it.
//
// The openers of Azure remember, for as long as the map is in use, which key vault a
// workspace has, and share one credential. A program that opens many stores keeps
// the map and hands it to each Config.
func Openers() secretstore.Openers {
	azure := new(azureurl.Opener)
	return secretstore.Openers{
		"file":    localfile.OpenURL,
		"memory":  memory.Open,
		"azurekv": azure.Open,
		"azureml": azure.Open,
		"vault":   vault.OpenURL,
	}
}
