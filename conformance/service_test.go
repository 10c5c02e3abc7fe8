package conformance_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/conformance"
)

// service is a store with every back door that a harness can have. It keeps the
// contract; its fields break it, each in one way.
type service struct {
	mu       sync.Mutex
	values   map[string]secretstore.Value
	fault    conformance.Fault
	on       string // the name that the fault is for; "" is all
	requests atomic.Int64
	lock     chan struct{}

	// How it is broken.
	hangs       time.Duration                    // goes on for so long after the context's end
	sleepsOn    bool                             // a pause between tries doesn't end with the context
	kind        map[conformance.Fault]error      // another kind for a fault
	echoes      bool                             // an error carries the request
	costsOthers bool                             // one name's fault fails the batch
	second      func(*handle) secretstore.Driver // a broken second handle
}

func newService() *service {
	return &service{values: map[string]secretstore.Value{}, lock: make(chan struct{}, 1)}
}

// handle is a driver on the service.
type handle struct{ s *service }

func (handle) Backend() string { return "service" }

// request counts a request and fails as the fault has it.
func (h handle) request(ctx context.Context, name string, v secretstore.Value) error {
	s := h.s
	s.requests.Add(1)
	s.mu.Lock()
	fault, on := s.fault, s.on
	s.mu.Unlock()
	if fault == "" || on != "" && on != name {
		return nil
	}
	kind := s.kind[fault]
	switch fault {
	case conformance.Hang:
		<-ctx.Done()
		time.Sleep(s.hangs)
		return ctx.Err()
	case conformance.Throttle:
		for ctx.Err() == nil {
			if s.sleepsOn {
				time.Sleep(1600 * time.Millisecond)
				break
			}
			select {
			case <-ctx.Done():
			case <-time.After(20 * time.Millisecond):
			}
		}
		return h.err(kind, secretstore.ErrThrottled, "")
	case conformance.Outage:
		return h.err(kind, secretstore.ErrUnavailable, "")
	case conformance.Echo:
		detail := ""
		if s.echoes {
			detail = "the service says: can't handle " + string(v.Reveal())
		}
		return h.err(kind, secretstore.ErrUnavailable, detail)
	case conformance.Deny, conformance.Disable:
		return h.err(kind, secretstore.ErrDenied, "")
	case conformance.Expire: // logs in again
		if kind != nil {
			return h.err(kind, nil, "")
		}
	}
	return nil
}

func (handle) err(kind, usual error, detail string) error {
	if kind == nil {
		kind = usual
	}
	return &secretstore.Error{Kind: kind, Detail: detail}
}

func (h handle) Get(ctx context.Context, name string) (secretstore.Value, error) {
	if err := h.request(ctx, name, secretstore.Value{}); err != nil {
		return secretstore.Value{}, err
	}
	h.s.mu.Lock()
	defer h.s.mu.Unlock()
	v, ok := h.s.values[name]
	if !ok {
		return v, &secretstore.Error{Kind: secretstore.ErrNotFound}
	}
	return v, nil
}

func (h handle) GetBatch(ctx context.Context, names []string) (map[string]secretstore.Value, error) {
	failed := &secretstore.BatchError{}
	for _, name := range names {
		if err := h.request(ctx, name, secretstore.Value{}); err != nil {
			if h.s.costsOthers {
				return nil, err
			}
			se, ok := err.(*secretstore.Error)
			if !ok {
				return nil, err // the context's
			}
			e := *se
			e.Name = name
			failed.Errs = append(failed.Errs, &e)
		}
	}
	h.s.mu.Lock()
	defer h.s.mu.Unlock()
	got := map[string]secretstore.Value{}
	for _, name := range names {
		if slices.ContainsFunc(failed.Errs, func(e *secretstore.Error) bool { return e.Name == name }) {
			continue
		}
		if v, ok := h.s.values[name]; ok {
			got[name] = v
		} else {
			failed.Errs = append(failed.Errs, &secretstore.Error{Name: name, Kind: secretstore.ErrNotFound})
		}
	}
	if len(failed.Errs) > 0 {
		return got, failed
	}
	return got, nil
}

func (h handle) Set(ctx context.Context, name string, v secretstore.Value) error {
	return h.SetBatch(ctx, map[string]secretstore.Value{name: v})
}

func (h handle) SetBatch(ctx context.Context, values map[string]secretstore.Value) error {
	for name, v := range values {
		if err := h.request(ctx, name, v); err != nil {
			return err
		}
	}
	if err := h.acquire(ctx); err != nil {
		return err
	}
	defer func() { <-h.s.lock }()
	h.s.mu.Lock()
	defer h.s.mu.Unlock()
	maps.Copy(h.s.values, values)
	return nil
}

func (h handle) acquire(ctx context.Context) error {
	select {
	case h.s.lock <- struct{}{}:
		return nil
	case <-ctx.Done():
	}
	time.Sleep(h.s.hangs)
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	return &secretstore.Error{Kind: secretstore.ErrLocked}
}

func (h handle) List(ctx context.Context) ([]string, error) {
	if err := h.request(ctx, "", secretstore.Value{}); err != nil {
		return nil, err
	}
	h.s.mu.Lock()
	defer h.s.mu.Unlock()
	return slices.Collect(maps.Keys(h.s.values)), nil
}

func (h handle) Delete(ctx context.Context, name string) error {
	return h.DeleteBatch(ctx, []string{name})
}

func (h handle) DeleteBatch(ctx context.Context, names []string) error {
	for _, name := range names {
		if err := h.request(ctx, name, secretstore.Value{}); err != nil {
			return err
		}
	}
	h.s.mu.Lock()
	defer h.s.mu.Unlock()
	for _, name := range names {
		delete(h.s.values, name)
	}
	return nil
}

// harness is a harness over services; breakIt breaks each.
func harness(breakIt func(*service)) conformance.Harness {
	var mu sync.Mutex
	services := map[secretstore.StoreCloser]*service{}
	of := func(s secretstore.StoreCloser) *service {
		mu.Lock()
		defer mu.Unlock()
		return services[s]
	}
	open := func(sv *service, d secretstore.Driver) secretstore.StoreCloser {
		s := secretstore.New(d)
		mu.Lock()
		defer mu.Unlock()
		services[s] = sv
		return s
	}
	return conformance.Harness{
		Open: func(context.Context) (secretstore.StoreCloser, error) {
			sv := newService()
			if breakIt != nil {
				breakIt(sv)
			}
			return open(sv, handle{sv}), nil
		},
		Second: func(_ context.Context, s secretstore.StoreCloser) (secretstore.StoreCloser, error) {
			sv := of(s)
			if sv.second != nil {
				return open(sv, sv.second(&handle{sv})), nil
			}
			return open(sv, handle{sv}), nil
		},
		Inject: func(s secretstore.StoreCloser, f conformance.Fault, name string) (func(), error) {
			sv := of(s)
			sv.mu.Lock()
			sv.fault, sv.on = f, name
			sv.mu.Unlock()
			return func() {
				sv.mu.Lock()
				defer sv.mu.Unlock()
				sv.fault = ""
			}, nil
		},
		Lock: func(s secretstore.StoreCloser) (func(), error) {
			sv := of(s)
			sv.lock <- struct{}{}
			return func() { <-sv.lock }, nil
		},
		Requests: func(s secretstore.StoreCloser) int { return int(of(s).requests.Load()) },
		Facts:    conformance.Facts{AtomicBatch: true},
	}
}
