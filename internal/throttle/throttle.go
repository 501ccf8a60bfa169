// Package throttle rations log lines about failures that repeat: a full disk would
// fill the log with several lines for every pull.
package throttle

import (
	"sync/atomic"
	"time"
)

const interval = time.Minute

// Throttle allows one event a minute. The zero value is ready to use.
type Throttle struct {
	next atomic.Int64 // when the next event is allowed, in Unix nanoseconds
}

// Allow reports whether an event is to be logged: the first is, and then one a
// minute.
func (t *Throttle) Allow() bool {
	now, next := time.Now().UnixNano(), t.next.Load()
	early := now < next && next-now <= int64(interval) // else the clock was set back
	return !early && t.next.CompareAndSwap(next, now+int64(interval))
}
