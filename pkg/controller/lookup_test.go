package controller

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/registry"
)

func lookups(find Gatherer) *images {
	s := newImages(find)
	s.auth = func(context.Context, image) (*registry.Auth, error) { return nil, nil } //nolint:nilnil // anonymous
	s.ttl, s.budget, s.looked = time.Minute, 5*time.Second, func(error, time.Duration) {}
	return s
}

func TestAnImageIsLookedUpOnceForAllPods(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		calls, told := 0, map[string]int{}
		s := lookups(func(context.Context, string, *registry.Auth) (*decision.Needs, error) {
			calls++
			time.Sleep(time.Second)
			return &decision.Needs{Repository: "r"}, nil
		})
		app := image{ref: "registry.example/app:1"}
		for i := range 100 {
			pod := fmt.Sprint(i)
			if _, ready := s.get(t.Context(), app, pod, func() { told[pod]++ }); ready {
				t.Error("ready before it was looked up")
			}
		}
		s.lookups.Wait()
		k, ready := s.get(t.Context(), app, "x", nil)
		if needs, err := s.read(k); !ready || err != nil || needs.Repository != "r" || calls != 1 || len(told) != 100 || told["7"] != 1 {
			t.Errorf("ready %t, %v, %v, %d calls, %d told", ready, needs, err, calls, len(told))
		}
		time.Sleep(2 * time.Minute) // a tag may have moved
		if _, ready := s.get(t.Context(), app, "y", func() {}); ready {
			t.Error("the tag was not resolved again")
		}
		s.lookups.Wait()
	})
}

// TestASlowRegistryDoesNotDelayAnother: as many images as there may be lookups in all.
func TestASlowRegistryDoesNotDelayAnother(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := lookups(func(ctx context.Context, ref string, _ *registry.Auth) (*decision.Needs, error) {
			if hostOf(ref) == "slow.example" {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return &decision.Needs{}, nil
		})
		start, took := time.Now(), time.Duration(-1)
		for i := range 2 * maxLookups {
			s.get(t.Context(), image{ref: fmt.Sprintf("slow.example/app%d:1", i)}, "slow", func() {})
		}
		s.get(t.Context(), image{ref: "fast.example/app:1"}, "fast", func() { took = time.Since(start) })
		s.lookups.Wait()
		if took != 0 || time.Since(start) != s.budget {
			t.Errorf("the other registry took %s, all of it %s", took, time.Since(start))
		}
		if len(s.registry) != 0 {
			t.Errorf("registries are kept: %v", s.registry)
		}
	})
}

func TestWhatWasKnownIsUsedWhileTheRegistryFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		down := false
		s := lookups(func(context.Context, string, *registry.Auth) (*decision.Needs, error) {
			if down {
				return nil, errors.New("down")
			}
			return &decision.Needs{Repository: "r"}, nil
		})
		app := image{ref: "registry.example/app:1"}
		s.await(t.Context(), app)
		down = true
		time.Sleep(time.Hour)
		if needs, err := s.read(s.await(t.Context(), app)); err != nil || needs.Repository != "r" {
			t.Errorf("after an hour: %v, %v", needs, err)
		}
		time.Sleep(staleFor)
		if _, err := s.read(s.await(t.Context(), app)); err == nil {
			t.Error("after a day it is still used")
		}
	})
}
