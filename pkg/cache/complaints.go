package cache

import (
	"sync/atomic"
	"time"
)

// complaintEvery is how often a write that fails is worth a line in the log.
const complaintEvery = time.Minute

// Complaints rations what is logged of writes that fail: a full disk would fill the
// log with several lines for every pull.
type Complaints struct {
	next atomic.Int64 // when the next one is due, in Unix nanoseconds
}

// Due tells whether a failure is to be logged: the first is, and then one a minute.
func (c *Complaints) Due() bool {
	now, next := time.Now().UnixNano(), c.next.Load()
	early := now < next && next-now <= int64(complaintEvery) // else the clock was set back
	return !early && c.next.CompareAndSwap(next, now+int64(complaintEvery))
}
