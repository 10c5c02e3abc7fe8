package localfile_test

import "time"

// waitRecheck waits until an open store looks at its path again.
func waitRecheck() { time.Sleep(40 * time.Millisecond) }
