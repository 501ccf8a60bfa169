package integration

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/integration/stack"
)

// wish is a reference and what is to come of its pull.
type wish struct {
	ref     string
	variant string // "" where it is refused
	of      offer
}

// wishes are fifty references of five repositories: with artifacts, without, for
// no user, by the digest of an index and of a manifest.
func (f *fit) wishes(t *testing.T) (all []wish, offers []offer) {
	t.Helper()
	for i := range 10 {
		tag := fmt.Sprint("crowd/tag-", i)
		fitting := f.offer(t, tag+"/fitting")
		byIndex, byManifest := f.offer(t, tag+"/by-index"), f.offer(t, tag+"/by-manifest")
		offers = append(offers, fitting, byIndex, byManifest)
		plain, none := f.offerOf(t, tag+"/plain", taken, best), f.offerOf(t, tag+"/none", taken, best)
		for _, manifest := range none.manifests {
			needs(t, none.repo, manifest, `"cpu-cpuid.AMXINT8": true`)
		}
		all = append(all,
			wish{fitting.ref, best, fitting},
			wish{byIndex.repo.DigestRef(byIndex.index), best, byIndex},
			wish{byManifest.repo.DigestRef(byManifest.manifests[best]), best, byManifest},
			wish{plain.ref, best, plain},
			wish{none.ref, "", none},
		)
	}
	return all, offers
}

// 50 references are pulled 500 times at once, with four credentials, some of which are
// refused, and then repeatedly. Each pull gets its own variant or its own refusal; the
// proxy keeps no more memory, goroutines or files than before.
func TestManyPullsAtOnceEachGetTheirOwnVariant(t *testing.T) {
	for _, keeper := range []string{"runtime", "proxy"} {
		t.Run("names kept by the "+keeper, func(t *testing.T) { testManyPulls(t, keeper) })
	}
}

func testManyPulls(t *testing.T, keeper string) {
	// Many at once take long on a busy machine, and are not to run out of time.
	f := startFit(t, flagsV3, stack.Settings{Proxy: fmt.Sprintf("select_timeout = \"60s\"\nnames = %q", keeper)})
	all, offers := f.wishes(t)
	users := map[string]stack.User{}
	w := watch(f, offers...)
	for _, name := range []string{"alice", "bob", "carol"} {
		users[name] = stack.User{Password: "secret-of-" + name}
		w.secrets = append(w.secrets, "secret-of-"+name)
	}
	w.secrets = append(w.secrets, "secret-of-mallory")
	tokens := f.registry.RequireToken(users)

	// A pull of each kind, so that all that is made once is there.
	w.crowd(t, all[:5], 8)
	before := w.atRest(t)
	many, few := 500, 50
	if testing.Short() {
		many = 100
	}
	w.crowd(t, all, many)
	w.wantNoMore(t, before)
	var rounds []burden
	for range 3 {
		w.crowd(t, all, few)
		rounds = append(rounds, w.burden(t))
	}
	w.wantNoMore(t, before)
	t.Logf("at first %s; then %s; at last %s", before, rounds, w.burden(t))
	if first, last := rounds[0].rss, rounds[2].rss; last > first+first/2+(16<<20) {
		t.Errorf("memory grows, from %d to %d bytes", first, last)
	}
	for _, token := range tokens.Issued() {
		w.secrets = append(w.secrets, token.Value)
	}
	w.wantSound(t)
}

// crowd has many pull at the same time, in turn for all that is wished and with all
// credentials.
func (w *witness) crowd(t *testing.T, all []wish, pulls int) {
	t.Helper()
	names := []string{"alice", "bob", "carol", "mallory"}
	var group sync.WaitGroup
	for i := range pulls {
		wanted, name := all[i%len(all)], names[(i/len(all)+i)%len(names)]
		group.Go(func() {
			id, err := w.ensure(t, wanted.ref, stack.PullOptions{
				Auth: &runtimeapi.AuthConfig{Username: name, Password: "secret-of-" + name},
			})
			refused := err != nil && strings.Contains(err.Error(), "imagefit: no variant of "+wanted.ref+" fits this node")
			switch {
			case name == "mallory":
				if err == nil || strings.Contains(err.Error(), "imagefit") {
					t.Errorf("mallory pulls %s: %q, %v, want the registry's refusal", wanted.ref, id, err)
				}
			case wanted.variant == "":
				if !refused || status.Code(err) != codes.Unknown {
					t.Errorf("%s pulls %s: %q, %v, want a refusal", name, wanted.ref, id, err)
				}
			case err != nil:
				t.Errorf("%s pulls %s: %v", name, wanted.ref, err)
			default:
				if got := wanted.of.ids[id]; got != wanted.variant {
					t.Errorf("%s gets %s of %s, want %s", name, got, wanted.ref, wanted.variant)
				}
			}
		})
	}
	group.Wait()
}
