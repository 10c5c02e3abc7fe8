//go:build !linux

package localfile

// renameNew renames a file, unless the new name is taken: then the error is
// fs.ErrExist.
func renameNew(temporary, path string) error { return linkNew(temporary, path) }
