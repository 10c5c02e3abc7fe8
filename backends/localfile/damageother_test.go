//go:build !unix

package localfile_test

import "os"

var systemPlaces = map[string]func(s *sample, path string) error{}

// plantFault dies as a fault would.
func plantFault() { os.Exit(2) }
