package integration

import (
	"strings"
	"testing"

	"github.com/imagefit/imagefit/integration/stack"
)

// TestKubeletRunsItsPodsThroughTheProxy is a day on a node with a real kubelet, with the image calls
// through the proxy or all calls, with each keeper of names, and images pulled in turn or at once.
func TestKubeletRunsItsPodsThroughTheProxy(t *testing.T) {
	for name, setup := range kubeletSetups() {
		t.Run(name, func(t *testing.T) {
			n := startNode(t, setup)
			refused := n.image(t, n.registry, "refused")
			needs(t, refused.repo, refused.manifests[0], `"cpu-cpuid.AMXINT8": true`)
			needs(t, refused.repo, refused.manifests[1], `"kernel-version.major": 6, "kernel-version.minor": 8`)
			n.add(t, refused, stack.StaticPod{}) // first, for it takes longest
			for _, phase := range []struct {
				name string
				test func(*testing.T, *node)
			}{
				{"pull policies", testPullPolicies},
				{"refused when created", testRefusedCreate},
				{"refused when pulled", testRefusedPull},
				{"calls", func(t *testing.T, n *node) { testKubeletCalls(t, n, setup.calls) }},
				{"secrets", testPulledRecords},
				{"restarts", testRestartsInTheMiddle},
				{"image collection", testImageCollection},
			} {
				if !t.Run(phase.name, func(t *testing.T) { phase.test(t, n) }) {
					t.Fatal("the rest is left out")
				}
			}
		})
	}
}

// The variant that fits runs, as the user that its image names. This is the
// security test of the whole: where a reference does not resolve after a pull,
// the kubelet runs the container as root.
func testPullPolicies(t *testing.T, n *node) {
	pods := []struct {
		name      string
		pod       stack.StaticPod
		prepulled bool
		spell     func(a app) string // the reference, where it is not the tag
	}{
		{"absent-ifnotpresent", stack.StaticPod{PullPolicy: "IfNotPresent"}, false, nil},
		{"absent-always", stack.StaticPod{PullPolicy: "Always"}, false, nil},
		{"absent-nonroot", stack.StaticPod{PullPolicy: "IfNotPresent", RunAsNonRoot: true}, false, nil},
		{"absent-digest", stack.StaticPod{PullPolicy: "IfNotPresent", RunAsNonRoot: true}, false, byDigest},
		{"absent-tag-digest", stack.StaticPod{PullPolicy: "Always", RunAsNonRoot: true}, false, byBoth},
		{"present-ifnotpresent", stack.StaticPod{PullPolicy: "IfNotPresent"}, true, nil},
		{"present-always", stack.StaticPod{PullPolicy: "Always", RunAsNonRoot: true}, true, nil},
		{"present-never", stack.StaticPod{PullPolicy: "Never", RunAsNonRoot: true}, true, nil},
	}
	never := n.image(t, n.registry, "absent-never")
	n.add(t, never, stack.StaticPod{PullPolicy: "Never"})
	for _, p := range pods {
		image := n.image(t, n.registry, p.name)
		needs(t, image.repo, image.manifests[1], `"cpu-cpuid.AVX2": true`)
		if p.spell != nil {
			image.ref = p.spell(image)
			n.app[p.name] = image
		}
		if p.prepulled {
			n.pull(t, image.ref)
		}
		n.add(t, image, p.pod)
	}
	for _, p := range pods {
		n.wantPod(t, p.name, n.app[p.name], "amd64/v3")
	}
	n.await(t, "absent-never", waiting("ErrImageNeverPull"))
	if err := n.kubelet.RemovePod(t.Context(), "absent-never"); err != nil {
		t.Fatal(err)
	}
}

func byDigest(a app) string { return a.repo.DigestRef(a.index) }
func byBoth(a app) string   { return a.ref + "@" + a.index.Digest.String() }

func testRefusedPull(t *testing.T, n *node) {
	ref := n.app["refused"].ref
	sentence := "imagefit: no variant of " + ref + " fits this node: " +
		"linux/amd64 needs cpu.cpuid AMXINT8 (absent); linux/amd64/v3 needs kernel.version >= 6.8 (is 6.1.0-18-amd64)"
	seen := map[string]string{}
	n.await(t, "refused", func(s stack.PodStatus) bool {
		seen[s.Reason] = s.Message
		return seen["ErrImagePull"] != "" && seen["ImagePullBackOff"] != ""
	})
	if got := seen["ErrImagePull"]; got != sentence {
		t.Errorf("ErrImagePull says\n%s\nwant\n%s", got, sentence)
	}
	if got, want := seen["ImagePullBackOff"], `Back-off pulling image "`+ref+`": ErrImagePull: `+sentence; got != want {
		t.Errorf("ImagePullBackOff says\n%s\nwant\n%s", got, want)
	}
	if err := n.kubelet.RemovePod(t.Context(), "refused"); err != nil {
		t.Fatal(err)
	}
}

// An image that is there already, but does not fit: an exempt pod has pulled it.
func testRefusedCreate(t *testing.T, n *node) {
	unfit := n.image(t, n.registry, "unfit")
	for _, manifest := range unfit.manifests {
		needs(t, unfit.repo, manifest, `"cpu-cpuid.AMXINT8": true`)
	}
	if _, err := n.cri.Pull(t.Context(), unfit.ref, stack.PullOptions{Namespace: "kube-system"}); err != nil {
		t.Fatal(err)
	}
	n.add(t, unfit, stack.StaticPod{PullPolicy: "IfNotPresent"})
	status := n.await(t, "unfit", waiting("CreateContainerError"))
	sentence := "imagefit: " + unfit.ref + " does not fit this node: linux/amd64 needs cpu.cpuid AMXINT8 (absent)"
	if !strings.HasSuffix(status.Message, sentence) {
		t.Errorf("the kubelet says\n%s\nwant at the end\n%s", status.Message, sentence)
	}
	if err := n.kubelet.RemovePod(t.Context(), "unfit"); err != nil {
		t.Fatal(err)
	}
}
