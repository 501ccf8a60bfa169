package soak

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/imagefit/imagefit/integration/stack"
)

const (
	tenants = 3
	// maxFault is the longest that a fault lasts, and maxFair the longest between two.
	maxFault, maxFair = 5 * time.Second, 4 * time.Second
	// faultsPerCalm is how many faults there are from one calm to the next.
	faultsPerCalm = 5
	sampleEvery   = time.Second
)

// Options are what a soak is made of.
type Options struct {
	Seed   uint64 // of the random numbers; with 1, 3, 5 and so on the runtime requires the plugin
	Length time.Duration
	Out    string // folder for the report
	Log    func(format string, args ...any)
}

// soak is one run.
type soak struct {
	*report
	Options
	node    *node
	weather *weather
	journal *journal
	checks  sync.WaitGroup // of the log, which follow an operation
	// calm is held by all that do operations, one at a time, and by who wants them to pause.
	calm  sync.RWMutex
	first *sample // of the first calm
}

// Run plays a node's life and writes a report into the folder. It returns what did not hold.
func Run(ctx context.Context, o Options) (violations []string, err error) {
	s := &soak{report: newReport(o.Seed), Options: o}
	if s.node, err = startNode(ctx, o.Seed%2 == 1); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.node.stop()) }()
	s.weather, s.journal = s.node.weather, newJournal(s.node.StateDir)
	if err := s.play(ctx); err != nil {
		return nil, errors.Join(err, s.write())
	}
	return s.Violations(), s.write()
}

// randomOf is a source of its own for each actor, so that what one does depends on no other.
func (s *soak) randomOf(actor uint64) *rand.Rand { return rand.New(rand.NewPCG(s.Options.Seed, actor)) }

// stepper does one operation after the other.
type stepper interface{ step(ctx context.Context) }

// play lets everybody act for the length of the soak.
func (s *soak) play(ctx context.Context) error {
	actors := make([]stepper, 0, tenants+1)
	for i := range tenants {
		t, err := s.newTenant(ctx, i)
		if err != nil {
			return err
		}
		actors = append(actors, t)
	}
	x, err := s.newStranger(ctx)
	if err != nil {
		return err
	}
	actors = append(actors, x)
	s.rest(ctx)
	acting, end := context.WithCancel(ctx)
	var all sync.WaitGroup
	all.Go(func() { s.journal.follow(acting) })
	all.Go(func() { s.watch(acting) })
	for _, actor := range actors {
		all.Go(func() {
			for acting.Err() == nil {
				s.calm.RLock()
				actor.step(acting)
				s.calm.RUnlock()
			}
		})
	}
	err = s.rounds(ctx)
	s.checks.Wait()
	end()
	all.Wait()
	return err
}

// rounds lets one fault follow the other until the time is over, with a calm now and then, and at the end.
func (s *soak) rounds(ctx context.Context) error {
	random := s.randomOf(0)
	for n := 0; time.Since(s.Begin) < s.Length; {
		faults := faults()
		random.Shuffle(len(faults), func(i, j int) { faults[i], faults[j] = faults[j], faults[i] })
		for _, f := range faults {
			if time.Since(s.Begin) > s.Length || ctx.Err() != nil {
				break
			}
			if err := s.suffer(ctx, f, random); err != nil {
				return err
			}
			if n++; n%faultsPerCalm == 0 {
				s.rest(ctx)
			}
		}
	}
	s.rest(ctx)
	return ctx.Err()
}

// suffer lets a fault begin and end, and the node recover.
func (s *soak) suffer(ctx context.Context, f fault, random *rand.Rand) error {
	s.Log("%6.1fs %s", time.Since(s.Begin).Seconds(), f.name)
	length := 500*time.Millisecond + time.Duration(random.Int64N(int64(maxFault)))
	end := s.weather.begin(f.name, f.trouble)
	undo, err := f.begin(ctx, s.node, random)
	if err == nil {
		wait(ctx, length)
		err = undo()
	}
	if err != nil {
		return fmt.Errorf("%s: %w", f.name, err)
	}
	if err := s.node.recovered(ctx); err != nil {
		s.violated("after %s: %v", f.name, err)
		return err
	}
	end()
	wait(ctx, time.Duration(random.Int64N(int64(maxFair))))
	return nil
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// watch samples what the daemons hold, and looks for what must never be.
func (s *soak) watch(ctx context.Context) {
	for ; ctx.Err() == nil; wait(ctx, sampleEvery) {
		now := s.node.sample(ctx)
		s.sampled(now)
		for name, b := range map[string]burden{"cri-proxy": now.proxy, "nri-plugin": now.plugin} {
			if b.rssMiB > peakMiB {
				s.violated("%s has %.0f MiB in memory, want at most %d", name, b.rssMiB, peakMiB)
			}
		}
		for _, process := range []*stack.Process{s.node.Proxy, s.node.plugin()} {
			if err := panics(process); err != nil {
				s.violated("%v", err)
			}
		}
	}
}

// write writes the report.
func (s *soak) write() error {
	if s.Out == "" {
		return nil
	}
	if err := os.MkdirAll(s.Out, 0o755); err != nil {
		return err
	}
	text := s.Text(s.weather.history())
	return errors.Join(
		os.WriteFile(filepath.Join(s.Out, "soak.txt"), []byte(text), 0o644),
		os.WriteFile(filepath.Join(s.Out, "soak.svg"), []byte(s.plot(s.weather.history())), 0o644),
		s.keepLogs(),
	)
}

// keepLogs copies the logs of the daemons beside the report, where something did not hold.
func (s *soak) keepLogs() error {
	if len(s.Violations()) == 0 {
		return nil
	}
	logs, _ := filepath.Glob(filepath.Join(s.node.containerd.Dir, "*.log*")) // errors only on a bad pattern
	var errs []error
	for _, path := range logs {
		text, err := os.ReadFile(path)
		errs = append(errs, err, os.WriteFile(filepath.Join(s.Out, filepath.Base(path)), text, 0o644))
	}
	return errors.Join(errs...)
}
