//go:build linux || darwin

package localfile_test

var systemWorkers = map[string]func(task []byte) error{
	"lock":   lockWorker,
	"forbid": forbidWorker,
	"full":   fullDiskWorker,
}
