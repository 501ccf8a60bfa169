package soak

import (
	"strings"
	"sync"
	"time"
)

// trouble is what a fault lets fail.
type trouble uint

const (
	runtimeAway    trouble = 1 << iota // calls of the runtime fail
	proxyAway                          // calls through the proxy fail
	pluginAway                         // the runtime refuses containers, which requires the plugin
	registryAway                       // pulls fail
	registryPartly                     // not the best variant is pulled, but what the runtime takes unasked
	registryLies                       // what is known to be unfit elsewhere is not known here, and failed pulls may move names
	factsMoving                        // daemons may know the facts of before or of now
	diskBad                            // nothing is stored: no record, nor what admission needs
)

func (t trouble) String() string {
	var names []string
	for i, name := range []string{
		"runtime away", "proxy away", "plugin away", "registry away", "registry partly", "registry lies", "facts moving", "disk bad",
	} {
		if t&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	if names == nil {
		return "none"
	}
	return strings.Join(names, ", ")
}

// span is a time of trouble; one that has not ended has no end.
type span struct {
	what       trouble
	fault      string
	begin, end time.Time
}

// weather is what troubles the node, and did.
type weather struct {
	mu    sync.Mutex
	spans []span
}

// begin notes that trouble begins. The returned function ends it.
func (w *weather) begin(fault string, what trouble) (end func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	at := len(w.spans)
	w.spans = append(w.spans, span{what: what, fault: fault, begin: time.Now()})
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.spans[at].end = time.Now()
	}
}

// slow makes trouble of a pull that takes longer than a decision may. A machine that is too slow is as
// a registry that is: others' pulls do not wait for it either until it has answered again.
func (w *weather) slow(limit time.Duration) (ended func()) {
	end := func() {}
	begun := make(chan struct{})
	timer := time.AfterFunc(limit, func() {
		end = w.begin("a slow pull", registryPartly)
		close(begun)
	})
	return func() {
		if !timer.Stop() {
			<-begun
			time.AfterFunc(answersAgain, end)
		}
	}
}

// answersAgain is how long it takes to find out that a registry answers again.
const answersAgain = 5 * time.Second

// during is all trouble that there was at some time between two.
func (w *weather) during(from, to time.Time) (all trouble) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.spans {
		if !s.begin.After(to) && (s.end.IsZero() || !s.end.Before(from)) {
			all |= s.what
		}
	}
	return all
}

// lostSince says whether something that was stored may have been lost since a time.
func (w *weather) lostSince(at time.Time) bool {
	return w.during(at, time.Now())&diskBad != 0
}

// history is all spans so far.
func (w *weather) history() []span {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]span(nil), w.spans...)
}
