package soak

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/imagefit/imagefit/pkg/decisionlog"
)

// journal follows the decision log.
type journal struct {
	log *decisionlog.Log

	mu   sync.Mutex
	seen map[string][]decisionlog.Record // by program and pod
}

func newJournal(dir string) *journal {
	return &journal{log: decisionlog.Open(dir), seen: map[string][]decisionlog.Record{}}
}

// follow reads the log until ctx ends.
func (j *journal) follow(ctx context.Context) {
	latest := 1 << 30 // all that is there by now
	for ctx.Err() == nil {
		_ = j.log.Follow(ctx, decisionlog.Filter{}, latest, func(r decisionlog.Record) error {
			j.mu.Lock()
			defer j.mu.Unlock()
			key := r.Program + " " + r.Pod
			j.seen[key] = append(j.seen[key], r)
			return nil
		})
		time.Sleep(50 * time.Millisecond) // the disk is troubled
	}
}

// of waits for the records of a program about a pod, of which there is at least one.
func (j *journal) of(ctx context.Context, program, pod string) ([]decisionlog.Record, error) {
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		j.mu.Lock()
		found := j.seen[program+" "+pod]
		j.mu.Unlock()
		if len(found) > 0 {
			return found, nil
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return nil, fmt.Errorf("the decision log has no record of %s about pod %s", program, pod)
		}
	}
}

// forget drops the records of a pod, which were looked at.
func (j *journal) forget(pod string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.seen, decisionlog.Proxy+" "+pod)
	delete(j.seen, decisionlog.Plugin+" "+pod)
}
