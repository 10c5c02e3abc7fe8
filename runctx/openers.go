package runctx

import (
	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/backends/localfile"
	"github.com/mlsecrets/secretstore/backends/memory"
)

// Openers returns the openers of all bundled backends, in a new map. A program
// that wants fewer of them linked makes a map of its own, and a [Config] with it.
func Openers() secretstore.Openers {
	return secretstore.Openers{
		"file":   localfile.OpenURL,
		"memory": memory.Open,
	}
}
