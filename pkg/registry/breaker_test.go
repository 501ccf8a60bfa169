package registry

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// hanging answers no request for referrers until it is told to.
func hanging(t *testing.T) (s *stub, answers *atomic.Bool) {
	t.Helper()
	s, answers = newStub(t), new(atomic.Bool)
	s.hook = func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "/referrers/") {
			return false
		}
		if answers.Load() {
			page(w, oci, descOf("a"))
		} else {
			<-r.Context().Done()
		}
		return true
	}
	return s, answers
}

func TestPullsWaitOnceForAHostThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	s, answers := hanging(t)
	r := testRegistry(t, Options{})
	list := func() ([]string, error) {
		got, err := repository(t, r, s.host()+"/app", nil).Referrers(shortly(t, minWait+100*time.Millisecond), descOf("subject"))
		return digests(got), err
	}
	if _, err := list(); err == nil {
		t.Fatal("got a list from a host that does not answer")
	}
	for range 3 {
		if _, err := list(); err == nil || !strings.Contains(err.Error(), "breaker open") {
			t.Errorf("the next pull waits for the host: %v", err)
		}
	}
	stats := r.Breaker()
	if stats.Trips != 1 || stats.Skips != 3 || len(stats.Silent) != 1 || stats.Silent[0].Host != s.host() {
		t.Errorf("counted %+v", stats)
	}
	answers.Store(true)
	for deadline := time.Now().Add(time.Minute); len(r.Breaker().Silent) > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the host is not probed")
		}
	}
	if got, err := list(); err != nil || len(got) != 1 {
		t.Errorf("the host answers again: %v, %v", got, err)
	}
}

func TestAHostThatDoesNotAnswerIsForgottenOnRequest(t *testing.T) {
	t.Parallel()
	s, answers := hanging(t)
	r := testRegistry(t, Options{})
	repo := repository(t, r, s.host()+"/app", nil)
	if _, err := repo.Referrers(shortly(t, minWait+100*time.Millisecond), descOf("subject")); err == nil {
		t.Fatal("got a list from a host that does not answer")
	}
	answers.Store(true)
	r.Forget()
	if got, err := repo.Referrers(t.Context(), descOf("subject")); err != nil || len(got) != 1 {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestARequestFromBeforeAResetDoesNotOpenTheBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(slog.New(slog.DiscardHandler))
		defer b.close()
		key, silent := silence{host: "registry.example"}, func(context.Context) bool { return false }
		time.Sleep(3 * time.Second) // of the 5 that the request waits
		b.reset()
		time.Sleep(2 * time.Second)
		b.trip(key, 5*time.Second, silent)
		if b.isOpen(key, silent) {
			t.Error("a request that began before the reset opens the breaker")
		}
		time.Sleep(5 * time.Second)
		b.trip(key, 5*time.Second, silent)
		if !b.isOpen(key, silent) {
			t.Error("a request that began after the reset does not open the breaker")
		}
	})
}

// TestWhatOneRegistryDoesNotAnswerSaysNothingAboutAnother has one mirror of two registries.
func TestWhatOneRegistryDoesNotAnswerSaysNothingAboutAnother(t *testing.T) {
	t.Parallel()
	s := newStub(t)
	s.hook = func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Get("ns") == "one.test" {
			<-r.Context().Done()
		} else {
			page(w, oci, descOf("a"))
		}
		return true
	}
	r := testRegistry(t, Options{HostsPath: s.Hosts("one.test", "two.test")})
	if _, err := repository(t, r, "one.test/app", nil).Referrers(shortly(t, minWait+100*time.Millisecond), descOf("x")); err == nil {
		t.Error("got a list from a host that does not answer")
	}
	if got, err := repository(t, r, "two.test/app", nil).Referrers(t.Context(), descOf("x")); err != nil || len(got) != 1 {
		t.Errorf("the other registry: %v, %v", got, err)
	}
}

func TestOnlyAFailureThatCostTimeOpensTheBreaker(t *testing.T) {
	t.Parallel()
	failure := func(err error) *Error { return &Error{Cause: err} }
	for _, tt := range []struct {
		name    string
		failure *Error
		took    time.Duration
		want    bool
	}{
		{"the little that was left of the pull's time", failure(context.DeadlineExceeded), 400 * time.Millisecond, false},
		{"half a second without an answer", failure(context.DeadlineExceeded), 500 * time.Millisecond, true},
		{"cancelled", failure(context.Canceled), 5 * time.Second, false},
		{"refused at once", failure(http.ErrServerClosed), time.Millisecond, false},
		{"a name that resolves slowly to nothing", failure(http.ErrServerClosed), 5 * time.Second, true},
		{"404 after a while", &Error{Status: 404, Kind: ErrNotFound}, 5 * time.Second, false},
		{"503 at once", &Error{Status: 503}, time.Millisecond, false},
		{"503 after a while", &Error{Status: 503}, 5 * time.Second, true},
	} {
		if got := isSilence(tt.failure, tt.took, minWait); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

func TestProbesGetRarerAndEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(slog.New(slog.DiscardHandler))
		defer b.close()
		var probes atomic.Int32
		key := silence{host: "a"}
		b.trip(key, 5*time.Second, func(context.Context) bool { probes.Add(1); return false })
		time.Sleep(time.Hour)
		if got, want := int(probes.Load()), len(probeWaits()); got != want {
			t.Errorf("%d probes in an hour, want %d", got, want)
		}
		if !b.isOpen(key, func(context.Context) bool { return true }) {
			t.Error("a pull waits for the host, which was not probed meanwhile")
		}
		synctest.Wait()
		if b.isOpen(key, nil) {
			t.Error("the host answered the probe of a pull, and is still not asked")
		}
	})
}

func TestABreakerIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(slog.New(slog.DiscardHandler))
		defer b.close()
		var running, most atomic.Int32
		for i := range 2 * maxSilent {
			b.trip(silence{host: strings.Repeat("x", i)}, time.Second, func(ctx context.Context) bool {
				if n := running.Add(1); n > most.Load() {
					most.Store(n)
				}
				<-ctx.Done()
				running.Add(-1)
				return false
			})
		}
		time.Sleep(10 * time.Second)
		if n := len(b.stats().Silent); n != maxSilent {
			t.Errorf("%d hosts are remembered, want %d", n, maxSilent)
		}
		if n := most.Load(); n > maxProbes {
			t.Errorf("%d probes at the same time", n)
		}
	})
}
