package integration

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/integration/stack"
)

// crio is imagefit in front of a real CRI-O, all of whose calls go through the proxy.
type crio struct {
	*fit
	runtime *stack.CRIO
}

func startCRIO(t *testing.T, opts stack.CRIOOptions, settings stack.Settings) *crio {
	t.Helper()
	requireStack(t)
	if os.Getenv(stack.CRIOVariable) == "" {
		t.Skip(stack.CRIOVariable + " does not name a crio")
	}
	registry := startRegistry(t)
	opts.Insecure = append(opts.Insecure, registry.Host)
	runtime, err := stack.StartCRIO(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("CRI-O's log ends with\n%s", runtime.Process.Tail(25))
		}
		if err := runtime.Stop(); err != nil {
			t.Error(err)
		}
	})
	settings.Facts += fmt.Sprintf("\nroot = %q\n", host(t, flagsV3))
	settings.Cache = `referrers_ttl = "0s"`
	imagefit, err := runtime.NewImagefit(t.Context(), settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("cri-proxy's log ends with\n%s", imagefit.Proxy.Tail(30))
			if imagefit.Plugin.Pid() != 0 {
				t.Logf("nri-plugin's log ends with\n%s", imagefit.Plugin.Tail(30))
			}
		}
		if err := imagefit.Stop(); err != nil {
			t.Error(err)
		}
	})
	if err := imagefit.StartProxy(t.Context()); err != nil {
		t.Fatal(err)
	}
	cri, err := runtime.Via(imagefit.Socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cri.Close() })
	return &crio{fit: &fit{Imagefit: imagefit, registry: registry, cri: cri, byProxy: true}, runtime: runtime}
}

// listed lists the images but for the pause image, in lines of tags and digests.
func listed(t *testing.T, c *stack.CRI) []string {
	t.Helper()
	images, err := c.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, image := range images {
		names := append(slices.Sorted(slices.Values(image.GetRepoTags())), slices.Sorted(slices.Values(image.GetRepoDigests()))...)
		if line := strings.Join(names, " "); !strings.Contains(line, "/pause") {
			all = append(all, line)
		}
	}
	slices.Sort(all)
	return all
}

func (c *crio) wantListed(t *testing.T, when string, want ...string) {
	t.Helper()
	slices.Sort(want)
	if got := listed(t, c.cri); !slices.Equal(got, want) {
		t.Errorf("%s: listed\n%s\nwant\n%s", when, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func (c *crio) remove(t *testing.T, refs ...string) {
	t.Helper()
	for _, ref := range refs {
		if err := c.cri.Remove(t.Context(), ref); err != nil {
			t.Fatalf("remove %s: %v", ref, err)
		}
	}
}

func TestCRIOKeepsNamesOfVariants(t *testing.T) {
	c := startCRIO(t, stack.CRIOOptions{}, stack.Settings{})
	repo, index, manifests := c.push(t, "app", variants("amd64", "amd64/v2", "amd64/v3", "amd64/v4")...)
	ref, byIndex, byManifest := repo.Ref("1"), repo.DigestRef(index), repo.DigestRef(manifests[2])
	id := c.pull(t, ref)
	look := func(when string) {
		t.Helper()
		wantID(t, c.cri, id, ref, byIndex, ref+"@"+index.Digest.String(), id, byManifest)
		c.wantListed(t, when, ref+" "+byIndex)
		if again := c.pull(t, ref); again != id {
			t.Errorf("%s: pulled %s, want %s", when, again, id)
		}
	}
	look("after the pull")
	c.wantRuns(t, ref, id, "amd64/v3")
	if err := c.Proxy.Stop(drainTime); err != nil {
		t.Fatal(err)
	}
	if err := c.StartProxy(t.Context()); err != nil {
		t.Fatal(err)
	}
	look("after a restart of the proxy")
	if err := c.runtime.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.awaitRuntime(t)
	look("after a restart of CRI-O")
	// The kubelet removes unused images by their ids, and must be refused those in use.
	if err := c.cri.Remove(t.Context(), id); err == nil {
		t.Error("removed an image that a container uses")
	}
	look("after a removal that failed")
	if err := c.cri.CleanupPods(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.remove(t, id)
	c.wantListed(t, "after a removal by the id")
	for _, remove := range [][]string{{ref}, {byIndex, ref}, {byManifest, ref}} {
		c.pull(t, ref)
		c.remove(t, remove...)
		c.wantListed(t, fmt.Sprint("after the removal of ", remove))
	}
	c.pull(t, ref)
	c.pull(t, byIndex)
	c.remove(t, ref)
	c.wantListed(t, "after the removal of the tag of two names", byIndex)
}

// TestCRIOMovesATagAsByItself pulls with CRI-O alone before, and again after the tag moved.
func TestCRIOMovesATagAsByItself(t *testing.T) {
	c := startCRIO(t, stack.CRIOOptions{}, stack.Settings{})
	repo, _, manifests := c.push(t, "app", variants("amd64", "amd64/v3")...)
	ref := repo.Ref("1")
	if _, err := c.runtime.CRI.Pull(t.Context(), ref, stack.PullOptions{}); err != nil {
		t.Fatal(err)
	}
	first := c.pull(t, ref)
	c.wantRuns(t, ref, first, "amd64/v3")
	moved := variants("amd64", "amd64/v3")
	moved[1].Variant = "moved"
	index, _, err := repo.PushIndex(t.Context(), "1", moved...)
	if err != nil {
		t.Fatal(err)
	}
	second := c.pull(t, ref)
	c.wantRuns(t, ref, second, "moved")
	wantID(t, c.cri, second, ref, repo.DigestRef(index))
	wantID(t, c.cri, first, repo.DigestRef(manifests[1]))
	if err := c.cri.CleanupPods(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.remove(t, second)
	if image, err := c.cri.Status(t.Context(), ref); err == nil {
		t.Errorf("the tag resolves to %v", image)
	}
}

func TestCRIOChoosesWhatFitsAndRefusesTheRest(t *testing.T) {
	c := startCRIO(t, stack.CRIOOptions{}, stack.Settings{})
	repo, _, manifests := c.push(t, "fits", variants("amd64", "amd64/v3")...)
	needs(t, repo, manifests[1], `"cpu-cpuid.AMXINT8": true`)
	c.wantRuns(t, repo.Ref("1"), c.pull(t, repo.Ref("1")), "amd64")

	repo, index, _ := c.push(t, "none", variants("amd64", "amd64/v3")...)
	needs(t, repo, index, `"cpu-cpuid.AMXINT8": true`)
	for _, ref := range []string{repo.Ref("1"), repo.DigestRef(index)} {
		_, err := c.cri.Pull(t.Context(), ref, stack.PullOptions{})
		if err == nil || !strings.Contains(err.Error(), "imagefit: no variant of "+ref+" fits this node") {
			t.Errorf("pull of %s: %v", ref, err)
		}
	}

	repo, _, _ = c.push(t, "level", variants("amd64/v2")...) // CRI-O alone finds no image in it
	c.wantRuns(t, repo.Ref("1"), c.pull(t, repo.Ref("1")), "amd64/v2")

	repo = c.registry.Repo("single")
	image := variants("amd64")[0]
	image.Variant = "single"
	single, err := repo.PushImage(t.Context(), "1", image)
	if err != nil {
		t.Fatal(err)
	}
	c.wantRuns(t, repo.Ref("1"), c.pull(t, repo.Ref("1")), "single")
	if got := listed(t, c.cri); !slices.Contains(got, repo.Ref("1")+" "+repo.DigestRef(single)) {
		t.Errorf("listed %q", got)
	}
	needs(t, repo, single, `"cpu-cpuid.AMXINT8": true`)
	if _, err := c.cri.Pull(t.Context(), repo.Ref("1"), stack.PullOptions{}); err == nil || !strings.Contains(err.Error(), "does not fit this node") {
		t.Errorf("an unfit single manifest: %v", err)
	}
}

func TestCRIOIndexesOfToolsAreChosenFrom(t *testing.T) {
	c := startCRIO(t, stack.CRIOOptions{}, stack.Settings{})
	tools, err := c.registry.ImageTools(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, tool := range stack.IndexTools() {
		repo := c.registry.Repo("of-" + tool)
		var refs []string
		for _, image := range variants("amd64", "amd64/v2", "amd64/v3", "amd64/v4") {
			manifest, err := repo.PushImage(t.Context(), "", image)
			if err != nil {
				t.Fatal(err)
			}
			refs = append(refs, repo.DigestRef(manifest))
		}
		if err := tools.Index(t.Context(), tool, repo, "1", refs...); err != nil {
			t.Fatal(err)
		}
		c.wantRuns(t, repo.Ref("1"), c.pull(t, repo.Ref("1")), "amd64/v3")
	}
}

// TestCRIOPullsByRegistriesConf has a mirror with another path, for digests and for all, an
// upstream that cannot be reached, and short names.
func TestCRIOPullsByRegistriesConf(t *testing.T) {
	c := startCRIO(t, stack.CRIOOptions{}, stack.Settings{})
	repo, index, manifests := c.push(t, "mirrored/team/app", variants("amd64", "amd64/v3", "amd64/v4")...)
	needs(t, repo, manifests[1], `"cpu-cpuid.AMXINT8": true`) // so that plain runs if referrers are found
	entry := func(mirror string) string {
		return fmt.Sprintf(`unqualified-search-registries = [%[1]q]
[[registry]]
location = %[1]q
insecure = true
[[registry]]
prefix = "upstream.invalid"
location = "upstream.invalid"
[[registry.mirror]]
location = "%[1]s/mirrored"
insecure = true
%[2]s
[aliases]
"tool" = "upstream.invalid/team/app"
`, c.registry.Host, mirror)
	}
	pause, err := os.ReadFile(c.runtime.Registries)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct{ mirror, ref string }{
		"all":                {"", "upstream.invalid/team/app:1"},
		"a tag, for digests": {`pull-from-mirror = "digest-only"`, "upstream.invalid/team/app@" + index.Digest.String()},
		"alias":              {"", "tool:1"},
		"search":             {"", "mirrored/team/app:1"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(c.runtime.Registries, []byte(entry(tt.mirror)+"\n"+string(pause)), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := c.runtime.Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := c.Proxy.Stop(drainTime); err != nil {
				t.Fatal(err)
			}
			if err := c.StartProxy(t.Context()); err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			id := c.pull(t, tt.ref)
			wantID(t, c.cri, id, tt.ref)
			c.wantRuns(t, tt.ref, id, "amd64")
			if took := time.Since(start); took > 20*time.Second {
				t.Errorf("took %s", took)
			}
			if err := c.cri.CleanupPods(t.Context()); err != nil {
				t.Fatal(err)
			}
			c.remove(t, tt.ref)
			if image, err := c.cri.Status(t.Context(), tt.ref); err == nil {
				t.Errorf("it resolves to %v after its removal", image)
			}
		})
	}
}

func TestCRIOForwardsWhatHasToBeSigned(t *testing.T) {
	c := startCRIO(t, stack.CRIOOptions{}, stack.Settings{})
	signed, _, _ := c.push(t, "signed/app", variants("amd64", "amd64/v3")...)
	free, _, _ := c.push(t, "free/app", variants("amd64", "amd64/v3")...)
	policy, err := json.Marshal(map[string]any{
		"default": []any{map[string]string{"type": "insecureAcceptAnything"}},
		"transports": map[string]any{"docker": map[string]any{
			c.registry.Host + "/signed": []any{map[string]string{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/none"}},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(c.runtime.Policy, policy, 0o600); err != nil {
		t.Fatal(err)
	}
	c.wantRuns(t, free.Ref("1"), c.pull(t, free.Ref("1")), "amd64/v3")
	if _, err := c.cri.Pull(t.Context(), signed.Ref("1"), stack.PullOptions{}); err == nil {
		t.Error("pulled without a signature")
	}
	if log := c.proxyLog(t); !strings.Contains(log, "the runtime verifies images (signedBy)") {
		t.Error("the record does not say why the pull was forwarded")
	}
	strict := filepath.Join(c.runtime.Dir, "policies", "strict.json")
	if err := os.WriteFile(strict, []byte(`{"default": [{"type": "reject"}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := c.cri.Pull(t.Context(), free.Ref("1"), stack.PullOptions{Namespace: "strict"}); err == nil {
		t.Error("pulled what the policy of the namespace rejects")
	}
}

// TestCRIOUsesCredentials has those of a pull, and those of the node for pulls without.
func TestCRIOUsesCredentials(t *testing.T) {
	auth := filepath.Join(t.TempDir(), "auth.json")
	c := startCRIO(t, stack.CRIOOptions{Image: fmt.Sprintf("global_auth_file = %q", auth)}, stack.Settings{})
	if err := os.WriteFile(auth, fmt.Appendf(nil, `{"auths": {%q: {"auth": "bm9kZTpzZWNyZXQ="}}}`, c.registry.Host), 0o600); err != nil {
		t.Fatal(err)
	}
	pods, _, _ := c.push(t, "pods/app", variants("amd64", "amd64/v3")...)
	nodes, _, _ := c.push(t, "nodes/app", variants("amd64", "amd64/v3")...)
	c.registry.RequireBasic(map[string]stack.User{
		"pod": {Password: "secret", Repos: []string{"pods/app"}}, "node": {Password: "secret", Repos: []string{"nodes/app"}},
	})
	id, err := c.cri.Pull(t.Context(), pods.Ref("1"), stack.PullOptions{Auth: &runtimeapi.AuthConfig{Username: "pod", Password: "secret"}})
	if err != nil {
		t.Fatal(err)
	}
	c.wantRuns(t, pods.Ref("1"), id, "amd64/v3")
	c.wantRuns(t, nodes.Ref("1"), c.pull(t, nodes.Ref("1")), "amd64/v3")
	if _, err := c.cri.Pull(t.Context(), pods.Ref("1"), stack.PullOptions{}); err == nil {
		t.Error("pulled without the credentials of the pod")
	}
}

func TestCRIOKeepsPinnedImagesPinned(t *testing.T) {
	c := startCRIO(t, stack.CRIOOptions{Image: `pinned_images = ["*agent:1*"]`}, stack.Settings{})
	agent, _, _ := c.push(t, "agent", variants("amd64", "amd64/v3")...)
	other, _, _ := c.push(t, "other", variants("amd64", "amd64/v2")...)
	for ref, want := range map[string]bool{agent.Ref("1"): true, other.Ref("1"): false} {
		c.pull(t, ref)
		image, err := c.cri.Status(t.Context(), ref)
		if err != nil || image.GetPinned() != want {
			t.Errorf("%s is pinned: %t, %v", ref, image.GetPinned(), err)
		}
	}
}

func TestCRIOPluginRefusesContainersThatDoNotFit(t *testing.T) {
	c := startCRIO(t, stack.CRIOOptions{}, stack.Settings{})
	repo, _, manifests := c.push(t, "app", variants("amd64", "amd64/v3")...)
	needs(t, repo, manifests[0], `"cpu-cpuid.AMXINT8": true`)
	c.startPlugin(t)
	ref := repo.Ref("1")
	c.wantRuns(t, ref, c.pull(t, ref), "amd64/v3")

	// CRI-O alone takes the plain variant of another tag, which the plugin looks up.
	if _, err := repo.PushIndexOf(t.Context(), "2", manifests...); err != nil {
		t.Fatal(err)
	}
	id, err := c.runtime.CRI.Pull(t.Context(), repo.Ref("2"), stack.PullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		_, err := run(t.Context(), c.runtime.CRI, repo.Ref("2"), stack.PodOptions{ImageRef: id})
		if err != nil && strings.Contains(err.Error(), "does not fit this node: linux/amd64 needs cpu.cpuid AMXINT8 (absent)") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("run: %v", err)
		}
	}
	c.wantRuns(t, ref, "", "amd64/v3")
}

// TestCRIOTakesTheNextVariantWhereTheBestCannotBeHad denies it, or spoils a layer of it.
func TestCRIOTakesTheNextVariantWhereTheBestCannotBeHad(t *testing.T) {
	c := startCRIO(t, stack.CRIOOptions{}, stack.Settings{})
	for _, tt := range []struct {
		name   string
		change func(*stack.Image)
		fault  func(manifest, layer string) stack.Fault
		want   string
	}{
		{name: "denied", fault: func(m, _ string) stack.Fault { return stack.Fault{Path: m, Status: 403} }},
		{name: "missing", fault: func(m, _ string) stack.Fault { return stack.Fault{Path: m, Status: 404} }},
		{name: "rate-limited", fault: func(m, _ string) stack.Fault { return stack.Fault{Path: m, Status: 412} }},
		{name: "blob-missing", fault: func(_, l string) stack.Fault { return stack.Fault{Path: l, Status: 404} }},
		{name: "blob-damaged", fault: func(_, l string) stack.Fault { return stack.Fault{Path: l, Corrupt: true} }},
		{name: "encrypted", change: func(i *stack.Image) { i.OwnLayerType = "application/vnd.oci.image.layer.v1.tar+gzip+encrypted" }},
		// CRI-O unpacks by the content, whatever its type.
		{name: "unknown-layer", change: func(i *stack.Image) { i.OwnLayerType = "application/vnd.example.layer" }, want: first},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := c.brokenOffer(t, tt.name, func(variant string, image *stack.Image, _ *ocispec.Platform) {
				if variant == first && tt.change != nil {
					tt.change(image)
				}
			})
			if tt.fault != nil {
				m, err := o.repo.Manifest(t.Context(), o.manifests[first])
				if err != nil {
					t.Fatal(err)
				}
				defer c.registry.Inject(tt.fault("manifests/"+o.manifests[first].Digest.String(), "blobs/"+m.Layers[1].Digest.String()))()
			}
			id := c.pull(t, o.ref)
			wantID(t, c.cri, id, o.ref)
			c.wantRuns(t, o.ref, id, tt.name+" "+cmp.Or(tt.want, second))
		})
	}
}
