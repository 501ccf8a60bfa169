package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/imagefit/imagefit/integration/stack"
)

// aMoment is how long requests wait for those that go out at the same time.
const aMoment = 200 * time.Millisecond

// What a decision costs in round trips does not depend on the number of
// candidates: four in depth when nothing is known (the index, the lists, the
// artifacts, their bodies), and one, the tag, when everything is. A registry that
// asks for a password costs one more the first time, and one that asks for a token
// two: the challenge and the token. So they cost the runtime, each time.
func TestRoundTripsOfADecisionDoNotGrowWithTheCandidates(t *testing.T) {
	f := startFit(t, flagsV3, stack.Settings{Cache: `referrers_ttl = "1h"`})
	users := map[string]stack.User{"alice": {Password: "a"}}
	for _, tt := range []struct {
		name       string
		candidates []int
		opts       stack.PullOptions
		protect    func()
		cold, warm int
	}{
		{"open", []int{1, 4, 16}, stack.PullOptions{}, func() {}, 4, 1},
		{"basic", []int{16}, auth("alice", "a"), func() { f.registry.RequireBasic(users) }, 5, 1},
		{"token", []int{16}, auth("alice", "a"), func() { f.registry.RequireToken(users) }, 6, 1},
	} {
		tt.protect()
		for _, candidates := range tt.candidates {
			t.Run(fmt.Sprintf("%s, %d candidates", tt.name, candidates), func(t *testing.T) {
				ref := f.pushCandidates(t, fmt.Sprintf("%s/%d", tt.name, candidates), candidates)
				plain := f.pushCandidates(t, fmt.Sprintf("%s/plain-%d", tt.name, candidates), candidates)
				pull := func(cri *stack.CRI, ref string) (rounds map[string]int, ours []string) {
					t.Helper()
					f.registry.Forget()
					count := f.registry.CountRounds(aMoment)
					_, err := cri.Pull(t.Context(), ref, tt.opts)
					rounds = count.Stop()
					if err != nil {
						t.Fatal(err)
					}
					for _, req := range f.registry.Requests() {
						if strings.HasPrefix(req.Header.Get("User-Agent"), "cri-proxy/") {
							ours = append(ours, req.Method+" "+req.Path)
						}
					}
					return rounds, ours
				}
				for _, state := range []struct {
					name string
					want int
				}{{"cold", tt.cold}, {"warm", tt.warm}} {
					direct, _ := pull(f.containerd.CRI, plain)
					through, ours := pull(f.cri, ref)
					t.Logf("%s: %d round trips of the decision with %d requests, then %d of the runtime; directly %d",
						state.name, through["cri-proxy"], len(ours), through["containerd"], direct["containerd"])
					if through["cri-proxy"] != state.want {
						t.Errorf("%s: the decision cost %d round trips, want %d: %q", state.name, through["cri-proxy"], state.want, ours)
					}
					if through["containerd"] > direct["containerd"] {
						t.Errorf("%s: the runtime made %d round trips through the proxy, %d directly", state.name, through["containerd"], direct["containerd"])
					}
					if state.name == "warm" && len(ours) != state.want {
						t.Errorf("warm: %d requests, want %d: %q", len(ours), state.want, ours)
					}
				}
			})
		}
	}
}

// pushCandidates pushes NAME:1, an index of so many variants for this node, each
// with an artifact of its own.
func (f *fit) pushCandidates(t testing.TB, name string, candidates int) string {
	t.Helper()
	var images []stack.Image
	for i := range candidates {
		image := variants("amd64")[0]
		if i > 0 {
			image = variants("amd64/v3")[0]
		}
		image.Variant = fmt.Sprintf("%s, candidate %d", name, i)
		images = append(images, image)
	}
	repo, _, manifests := f.push(t, name, images...)
	for i, m := range manifests {
		needs(t, repo, m, `"cpu-cpuid.AVX2": true`+strings.Repeat(" ", i))
	}
	return repo.Ref("1")
}
