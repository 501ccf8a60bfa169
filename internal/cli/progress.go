package cli

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// Progress tells the person at a terminal how far a command is, once it has taken a
// second and then ever more rarely. Whoever calls it calls stop before anything else is
// printed. Anywhere but on a terminal nothing is told.
func Progress(stderr io.Writer, far func() string) (stop func()) {
	if !isTerminal(stderr) {
		return func() {}
	}
	return progress(stderr, far)
}

func progress(w io.Writer, far func() string) (stop func()) {
	done := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		for wait := time.Second; ; wait *= 2 {
			select {
			case <-done:
				return
			case <-time.After(wait):
				_, _ = fmt.Fprintf(w, "imagefit: %s\n", far()) // a reader that went away needs no more
			}
		}
	})
	return func() {
		close(done)
		running.Wait()
	}
}
