package integration

import (
	"testing"

	"google.golang.org/grpc/status"

	"github.com/imagefit/imagefit/integration/stack"
)

// coreTests are what must hold on every version of containerd. On the default one
// they run under names of their own.
func coreTests() map[string]struct {
	flags, policy string
	test          func(*testing.T, *fit)
} {
	type core = struct {
		flags, policy string
		test          func(*testing.T, *fit)
	}
	return map[string]core{
		"every spelling":  {flagsV3, "", testEverySpelling},
		"single manifest": {flagsV3, "", testSingleManifest},
		"removal":         {flagsV3, "", testRemove},
		"tag moves":       {flagsV3, "", testTagMoves},
		"nothing fits":    {flagsV2, "", testNothingFits},
		"admission":       {flagsV3, audit, testPluginRefuses},
		"without a proxy": {flagsV3, "", testPluginWithoutProxy},
		"restarts":        {flagsV3, "", testContainerdRestarts},
		"container":       {flagsV3, "", testContainerStatus},
		"images removed":  {flagsV3, "", testImagesRemoved},
		"images named":    {flagsV3, "", testImagesNamed},
		"images outlive":  {flagsV3, "", testImagesOutlive},
		"images race":     {flagsV3, "", testImagesRace},
		"artifacts pass":  {flagsV3, "", testArtifactsPass},
	}
}

func TestOlderContainerdPassesTheCoreTests(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: one version of containerd only")
	}
	for _, version := range stack.Versions()[1:] {
		t.Run(version, func(t *testing.T) {
			t.Run("stop leaves nothing", func(t *testing.T) { testStopLeavesNothing(t, version) })
			for name, core := range coreTests() {
				t.Run(name, func(t *testing.T) {
					containerd := startContainerd(t, stack.Options{Version: version})
					core.test(t, startFitWith(t, containerd, startRegistry(t), core.flags, stack.Settings{Policy: core.policy}))
				})
			}
		})
	}
}

func TestSingleManifestIsPulledUnchanged(t *testing.T) {
	testSingleManifest(t, startFit(t, flagsV3, stack.Settings{}))
}

// An image with no index around it is pulled as on containerd alone.
func testSingleManifest(t *testing.T, f *fit) {
	single := variants("amd64")[0]
	repo := f.registry.Repo("single")
	manifest, err := repo.PushImage(t.Context(), "1", single)
	if err != nil {
		t.Fatal(err)
	}
	for _, ref := range []string{repo.Ref("1"), repo.DigestRef(manifest)} {
		id := f.pull(t, ref)
		wantID(t, f.cri, id, ref, id)
		f.wantRuns(t, ref, id, "amd64")
	}
}

// The platform of an image with no index around it is that of its config.
func TestSingleManifestForALevelThatTheCPULacksIsRefused(t *testing.T) {
	f := startFit(t, flagsV3, stack.Settings{})
	repo := f.registry.Repo("single")
	manifest, err := repo.PushImage(t.Context(), "1", variants("amd64/v4")[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, ref := range []string{repo.Ref("1"), repo.DigestRef(manifest)} {
		want := "imagefit: " + ref + " does not fit this node: it needs cpu.x86_64 level >= 4 (is 3)"
		if _, err := f.cri.Pull(t.Context(), ref, stack.PullOptions{}); status.Convert(err).Message() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
