package secretstore

import (
	"context"
	"io"
	"slices"
	"sync"
	"sync/atomic"
)

// New returns a Store over the driver. It is a [Deleter] if and only if the
// driver is a [DriverDeleter]. Close closes the driver if it is an [io.Closer].
//
// This is the one place where a driver's optional interfaces are looked for.
func New(driver Driver) StoreCloser {
	s := &store{driver: driver, backend: driver.Backend(), gets: 16, sets: 16, idle: make(chan struct{})}
	s.batchGetter, _ = driver.(BatchGetter)
	s.batchSetter, _ = driver.(BatchSetter)
	s.deleter, _ = driver.(DriverDeleter)
	s.batchDeleter, _ = driver.(BatchDeleter)
	s.closer, _ = driver.(io.Closer)
	if f, ok := driver.(Fanout); ok {
		gets, sets := f.Fanout()
		s.gets, s.sets = max(gets, 1), max(sets, 1)
	}
	if s.deleter != nil {
		return deletingStore{s}
	}
	return s
}

// store keeps the contract of Store over a Driver.
type store struct {
	driver       Driver
	backend      string
	batchGetter  BatchGetter
	batchSetter  BatchSetter
	deleter      DriverDeleter
	batchDeleter BatchDeleter
	closer       io.Closer
	gets, sets   int

	// calls is twice the number of calls under way, plus one once the store is
	// closed. Whoever brings it to 1 closes idle.
	calls     atomic.Int64
	idle      chan struct{}
	idleOnce  sync.Once
	closeOnce sync.Once
}

// The operations, as they stand in errors.
const (
	opSet      = "set"
	opSetBatch = "set batch"
	opGet      = "get"
	opGetBatch = "get batch"
	opList     = "list"
	opDelete   = "delete"
	opClose    = "close"
)

// enter registers a call, or says why there can't be one. Every enter that
// returns nil needs a leave.
func (s *store) enter() *Error {
	if s.calls.Add(2)&1 != 0 {
		s.leave()
		return &Error{Kind: ErrClosed}
	}
	return nil
}

func (s *store) leave() {
	if s.calls.Add(-2) == 1 {
		// A call that is refused after Close may come here as well.
		s.idleOnce.Do(func() { close(s.idle) })
	}
}

func (s *store) Close() error {
	var err error
	s.closeOnce.Do(func() {
		if s.calls.Add(1) != 1 {
			<-s.idle
		}
		if s.closer != nil {
			if cerr := s.closer.Close(); cerr != nil {
				err = s.wrap(context.Background(), opClose, "", cerr)
			}
		}
	})
	return err
}

func (s *store) Get(ctx context.Context, name string) (Value, error) {
	if err := s.enter(); err != nil {
		return Value{}, s.stamp(err, opGet, name)
	}
	defer s.leave()
	canonical, err := CanonicalName(name)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return Value{}, s.wrap(ctx, opGet, name, err)
	}
	v, err := s.driver.Get(ctx, canonical)
	if err != nil {
		return Value{}, s.wrap(ctx, opGet, name, err)
	}
	return v, nil
}

func (s *store) Set(ctx context.Context, name string, value Value) error {
	if err := s.enter(); err != nil {
		return s.stamp(err, opSet, name)
	}
	defer s.leave()
	canonical, err := CanonicalName(name)
	if err != nil {
		return s.wrap(ctx, opSet, name, err)
	}
	if err := checkSize(name, value); err != nil {
		return s.stamp(err, opSet, name)
	}
	if err := ctx.Err(); err != nil {
		return s.wrap(ctx, opSet, name, err)
	}
	if err := s.driver.Set(ctx, canonical, value); err != nil {
		return s.wrap(ctx, opSet, name, err)
	}
	return nil
}

func (s *store) List(ctx context.Context) ([]string, error) {
	if err := s.enter(); err != nil {
		return nil, s.stamp(err, opList, "")
	}
	defer s.leave()
	if err := ctx.Err(); err != nil {
		return nil, s.wrap(ctx, opList, "", err)
	}
	listed, err := s.driver.List(ctx)
	if err != nil {
		return nil, s.wrap(ctx, opList, "", err)
	}
	names := make([]string, 0, len(listed))
	sorted := true // a large store may list in order already
	for _, name := range listed {
		if name, err := CanonicalName(name); err == nil {
			sorted = sorted && (len(names) == 0 || names[len(names)-1] < name)
			names = append(names, name)
		}
	}
	if !sorted {
		slices.Sort(names)
		names = slices.Compact(names)
	}
	return names, nil
}

// stamp completes an error that the front made itself.
func (s *store) stamp(err *Error, op, name string) *Error {
	err.Op, err.Backend, err.Name = op, s.backend, name
	return err
}

// wrap makes the one *Error of an operation out of whatever came from below.
func (s *store) wrap(ctx context.Context, op, name string, err error) *Error {
	return s.stamp(classify(ctx, err), op, name)
}
