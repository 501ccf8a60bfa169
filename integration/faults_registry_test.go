package integration

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/integration/stack"
)

// answers is something that answers in a registry's place when it returns true.
type answers func(http.ResponseWriter, *http.Request) bool

// ofProxy narrows what a registry does to the requests of the proxy: the runtime's
// own pull gets through.
func ofProxy(does answers) answers {
	return func(w http.ResponseWriter, req *http.Request) bool {
		return strings.HasPrefix(req.UserAgent(), "cri-proxy/") && does(w, req)
	}
}

// of narrows it to some paths.
func of(part string, does answers) answers {
	return func(w http.ResponseWriter, req *http.Request) bool {
		return strings.Contains(req.URL.Path, part) && does(w, req)
	}
}

func html(w http.ResponseWriter, _ *http.Request) bool {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = fmt.Fprint(w, "<!DOCTYPE html><html><body>We are back soon.</body></html>")
	return true
}

func tooMany(w http.ResponseWriter, _ *http.Request) bool {
	w.Header().Set("Retry-After", "30")
	w.WriteHeader(http.StatusTooManyRequests)
	return true
}

func slow(_ http.ResponseWriter, req *http.Request) bool {
	select {
	case <-time.After(14 * time.Second):
		return false
	case <-req.Context().Done():
		panic(http.ErrAbortHandler)
	}
}

func cut(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) }

// flapping is away for every other request.
func flapping() answers {
	var n atomic.Int64
	return func(w http.ResponseWriter, _ *http.Request) bool {
		if n.Add(1)%2 == 0 {
			return false
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	}
}

// The registry fails in every way that spares the runtime's own pull. A pull of an
// unknown image then falls back to what containerd chooses, and a pull of a known one
// gets the variant that is known to fit. Once the registry works again, so does all else.
func TestPullsSurviveARegistryThatFailsForImagefitAlone(t *testing.T) {
	f := startFit(t, flagsV3, stack.Settings{Proxy: `select_timeout = "700ms"`})
	all := watch(f)
	all.wantVariant(t, f.offer(t, "first"), best)
	before := all.atRest(t)
	for name, tt := range map[string]struct {
		does  answers
		fresh []string // what may come of a pull of something new
		known []string // of something pulled before
	}{
		"slow":               {slow, []string{taken}, []string{taken}},
		"slow referrers":     {of("/referrers/", slow), []string{taken}, []string{best}},
		"cut":                {cut, []string{taken}, []string{taken}},
		"cut referrers":      {of("/referrers/", cut), []string{taken}, []string{best}},
		"flapping":           {flapping(), []string{taken, best}, []string{taken, best}},
		"flapping referrers": {of("/referrers/", flapping()), []string{taken, best}, []string{best}},
		"HTML":               {html, []string{taken}, []string{taken}},
		"HTML for referrers": {of("/referrers/", html), []string{taken}, []string{best}},
		"429 for the tag":    {of("/manifests/1", tooMany), []string{taken}, []string{taken}},
		"429 for referrers":  {of("/referrers/", tooMany), []string{taken}, []string{best}},
		"429 for artifacts":  {of("/blobs/", tooMany), []string{taken}, []string{best}},
		"slow artifacts":     {of("/blobs/", slow), []string{taken}, []string{best}},
		"HTML for artifacts": {of("/blobs/", html), []string{taken}, []string{best}},
	} {
		t.Run(name, func(t *testing.T) {
			prefix := "faults/" + strings.ToLower(strings.ReplaceAll(name, " ", "-"))
			fresh, known := f.offer(t, prefix+"/fresh"), f.offer(t, prefix+"/known")
			w := watch(f, fresh, known)
			w.wantVariant(t, known, best)
			f.registry.Intercept(ofProxy(tt.does))
			t.Cleanup(func() { f.registry.Intercept(nil) })
			for _, o := range []offer{fresh, known} {
				want := map[string][]string{fresh.ref: tt.fresh, known.ref: tt.known}[o.ref]
				start := time.Now()
				id, err := w.ensure(t, o.ref, stack.PullOptions{})
				if err != nil {
					t.Errorf("pull %s: %v, want what the runtime pulls by itself", o.ref, err)
				} else if got := o.ids[id]; !slices.Contains(want, got) {
					t.Errorf("pulled %s of %s, want %s", got, o.ref, want)
				}
				if took := time.Since(start); took > 10*time.Second {
					t.Errorf("the pull of %s took %s with a budget of 0.7 s", o.ref, took)
				}
			}
			w.wantSound(t)
			f.registry.Intercept(nil)
			w.awaitClosedBreaker(t)
			w.wantVariant(t, fresh, best)
			w.wantVariant(t, known, best)
			w.wantSound(t)
		})
	}
	all.wantNoMore(t, before)
}

// awaitClosedBreaker waits until a probe of the registry was answered.
func (w *witness) awaitClosedBreaker(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); w.metrics(t)["imagefit_registry_breaker_open"] > 0; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the registry answers, and pulls still do not wait for it")
		}
	}
}

// A kubelet pulls one image after the other. Behind a registry that never lists referrers,
// all of them together cost one budget at most, and all run what containerd chooses.
func TestSerialPullsBehindHangingReferrersCostOneBudget(t *testing.T) {
	f := startFit(t, flagsV3, stack.Settings{Proxy: `select_timeout = "5s"`})
	var offers []offer
	for i := range 4 {
		offers = append(offers, f.offer(t, fmt.Sprintf("serial/%d", i)))
	}
	f.registry.Intercept(ofProxy(of("/referrers/", slow)))
	t.Cleanup(func() { f.registry.Intercept(nil) })
	w := watch(f, offers...)
	start := time.Now()
	for _, o := range offers {
		id, err := w.ensure(t, o.ref, stack.PullOptions{})
		if err != nil || o.ids[id] != taken {
			t.Errorf("pulled %s of %s, %v; want %s", o.ids[id], o.ref, err, taken)
		}
	}
	if took := time.Since(start); took > 9*time.Second {
		t.Errorf("four pulls took %s with a budget of 5 s", took)
	}
	if log := f.proxyLog(t); !strings.Contains(log, "breaker open") {
		t.Errorf("the log does not say that the breaker is open:\n%s", log)
	}
	w.wantSound(t)
}

// The registry is down for everyone: the kubelet sees containerd's own error, what is on
// the node stays, and later pulls succeed.
func TestPullFailsInContainerdsWordsWhenTheRegistryIsDown(t *testing.T) {
	f := startFit(t, flagsV3, stack.Settings{Proxy: `select_timeout = "700ms"`})
	known := f.offer(t, "known")
	w := watch(f, known)
	w.wantVariant(t, known, best)
	before, id := w.atRest(t), w.pulled[known.ref]
	for name, does := range map[string]answers{"cut": cut, "HTML": html, "429": tooMany, "flapping": flapping()} {
		t.Run(name, func(t *testing.T) {
			fresh := f.offer(t, "gone/"+strings.ToLower(name))
			w.offers = append(w.offers, fresh)
			f.registry.Intercept(does)
			t.Cleanup(func() { f.registry.Intercept(nil) })
			for _, o := range []offer{fresh, known} {
				_, got := w.ensure(t, o.ref, stack.PullOptions{})
				_, want := f.containerd.CRI.Pull(t.Context(), o.ref, stack.PullOptions{})
				if name != "flapping" && (got == nil || want == nil || status.Code(got) != status.Code(want)) {
					t.Errorf("pull %s: %v\nwant %v, as without the proxy", o.ref, got, want)
				}
			}
			if name != "flapping" {
				wantID(t, f.cri, id, known.ref)
			}
			f.registry.Intercept(nil)
			w.wantVariant(t, fresh, best)
			w.wantVariant(t, known, best)
			w.wantSound(t)
		})
	}
	w.wantNoMore(t, before)
	if err := f.registry.Close(); err != nil {
		t.Fatal(err)
	}
	_, got := w.ensure(t, known.ref, stack.PullOptions{})
	_, want := f.containerd.CRI.Pull(t.Context(), known.ref, stack.PullOptions{})
	if got == nil || want == nil || status.Code(got) != status.Code(want) || got.Error() != want.Error() {
		t.Errorf("pull %s: %v\nwant %v, as without the proxy", known.ref, got, want)
	}
	w.wantRun(t, known, id)
	w.wantSound(t)
}

// The token expires during a decision. It is replaced if the registry names the reason;
// otherwise the pull falls back.
func TestTokenThatExpiresDuringADecisionIsReplaced(t *testing.T) {
	for name, tt := range map[string]struct {
		named bool
		want  string
	}{"named": {true, best}, "not named": {false, taken}} {
		t.Run(name, func(t *testing.T) {
			f := startFit(t, flagsV3, stack.Settings{})
			o := f.offer(t, "private/app")
			tokens := f.registry.RequireToken(map[string]stack.User{"alice": {Password: "secret-of-alice"}})
			var once atomic.Bool
			f.registry.Intercept(ofProxy(of("/referrers/", func(http.ResponseWriter, *http.Request) bool {
				if once.CompareAndSwap(false, true) {
					tokens.Expire(tt.named)
				}
				return false
			})))
			w := watch(f, o)
			w.secrets = []string{"secret-of-alice"}
			alice := stack.PullOptions{Auth: &runtimeapi.AuthConfig{Username: "alice", Password: "secret-of-alice"}}
			for _, want := range []string{tt.want, best} {
				id, err := w.ensure(t, o.ref, alice)
				if err != nil {
					t.Fatal(err)
				}
				if got := o.ids[id]; got != want {
					t.Errorf("pulled %s, want %s", got, want)
				}
			}
			for _, token := range tokens.Issued() {
				w.secrets = append(w.secrets, token.Value)
			}
			w.wantSound(t)
		})
	}
}
