package conformance

import (
	"context"
	"sync/atomic"
)

// countdown is a context that is cancelled when it has been asked for its error or
// its channel a number of times. It ends an operation at each of the places where
// that looks, one after the other.
type countdown struct {
	context.Context
	left   atomic.Int64
	cancel context.CancelFunc
}

func newCountdown(parent context.Context, k int) (*countdown, context.CancelFunc) {
	ctx, cancel := context.WithCancel(parent)
	c := &countdown{Context: ctx, cancel: cancel}
	c.left.Store(int64(k))
	return c, cancel
}

func (c *countdown) asked() {
	if c.left.Add(-1) < 0 {
		c.cancel()
	}
}

func (c *countdown) Err() error {
	c.asked()
	return c.Context.Err()
}

func (c *countdown) Done() <-chan struct{} {
	c.asked()
	return c.Context.Done()
}
