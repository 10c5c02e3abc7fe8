package localfile

import (
	"context"
	"errors"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mlsecrets/secretstore"
)

// Config says which file to open, and how.
type Config struct {
	// Path is the store's file. It is required.
	Path string

	// Key says where the key comes from. The zero value takes it from the
	// environment: see EnvKeyFile.
	Key KeySource

	// MustExist refuses to go on without a file. Otherwise the first Set makes
	// it, and until then Get is ErrNotFound and List is empty.
	MustExist bool

	// LockTimeout is how long a writer waits for other writers, in this process
	// and in others, before it gives up with ErrLocked, unless its context ends
	// before that. Zero means 10 s.
	LockTimeout time.Duration
}

// Open opens the store of the file. The store is a [secretstore.Deleter], and its
// batches are atomic: SetBatch writes all or nothing, and GetBatch reads all
// names in one state of the store. Any number of processes may have the file open
// at the same time; each sees what another has written at its next call. No lock
// and no descriptor is held between calls.
//
// A key that is not the store's is [secretstore.ErrWrongKey]. A file that is
// damaged, or is something else, is [secretstore.ErrCorrupt].
func Open(ctx context.Context, c Config) (secretstore.StoreCloser, error) {
	d, err := open(ctx, c)
	if err != nil {
		return nil, opError("open", err)
	}
	return secretstore.New(d), nil
}

// OpenURL opens the store that a URL names: file:///path/to/store.db. With the
// parameter create=no the file must exist.
func OpenURL(ctx context.Context, u *url.URL) (secretstore.StoreCloser, error) {
	params, err := secretstore.Params(u, "create")
	if err != nil {
		return nil, err
	}
	path, err := pathOf(u)
	if err != nil {
		return nil, err
	}
	c := Config{Path: path}
	switch params.Get("create") {
	case "", "yes":
	case "no":
		c.MustExist = true
	default:
		return nil, badConfig("the parameter create is yes or no")
	}
	return Open(ctx, c)
}

const backendName = "localfile"

// driver reads and writes one file.
type driver struct {
	path        string
	key         KeySource
	mustExist   bool
	lockTimeout time.Duration

	view    atomic.Pointer[view]
	epoch   time.Time
	recheck atomic.Int64 // when to look at the path again, in ns since epoch

	// refreshing guards what follows, and the replacing of view.
	refreshing sync.Mutex
	secrets    *secrets
	mappings   []*mapping // all that were made; readers may be in any of them

	// writing is held by the one writer of this process. It is a channel so that
	// the wait can end with a context.
	writing chan struct{}
	checked checkedVersion // guarded by writing
	settled bool           // guarded by writing; see settle
}

// checkedVersion is a version of a file whose structure is known to be sound.
type checkedVersion struct {
	info os.FileInfo
	txid uint64
}

func newDriver(c Config) (*driver, error) {
	if c.Path == "" {
		return nil, badConfig("the path of the store's file is empty")
	}
	d := &driver{
		path:        absolute(c.Path),
		key:         c.Key,
		mustExist:   c.MustExist,
		lockTimeout: c.LockTimeout,
		epoch:       time.Now(),
		writing:     make(chan struct{}, 1),
	}
	if d.lockTimeout <= 0 {
		d.lockTimeout = defaultLockTimeout
	}
	return d, nil
}

// open returns a driver that has found the file, if there is one, to be sound at
// the top and the key to be its own.
func open(ctx context.Context, c Config) (*driver, error) {
	d, err := newDriver(c)
	if err != nil {
		return nil, err
	}
	if _, err := d.current(ctx); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

func (d *driver) Backend() string { return backendName }

func (d *driver) Close() error {
	for _, m := range d.mappings {
		m.close()
	}
	d.mappings = nil
	d.view.Store(nil)
	return nil
}

// opError completes the error of an operation that is not a Store's.
func opError(op string, err error) error {
	if err == nil {
		return nil
	}
	e, ok := errors.AsType[*secretstore.Error](err)
	if !ok {
		e = &secretstore.Error{Kind: err} // a context's
	}
	out := *e
	out.Op, out.Backend = op, backendName
	return &out
}
