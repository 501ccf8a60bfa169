package integration

import (
	"testing"
)

// Names that move, and images that go by more than one name.
func TestNamesOfImagesMoveAsOnContainerdAlone(t *testing.T) { keepers(t, testImagesNamed) }

func testImagesNamed(t *testing.T, f *fit) {
	t.Run("pulled behind our back", func(t *testing.T) { testPulledBehind(t, f) })
	t.Run("a tag moves", func(t *testing.T) {
		f.play(t, tagMoves)
	})
	t.Run("another choice of the same index", func(t *testing.T) { testOtherChoice(t, f) })
	for name, script := range map[string]func(*testing.T, *scene){
		"an index with no tag":         noTag,
		"two tags on one index":        twoTags,
		"a variant of two indexes":     twoIndexes,
		"one config in two manifests":  oneConfig,
		"one config twice in an index": oneConfigOneIndex,
	} {
		t.Run(name, func(t *testing.T) { f.play(t, script) })
	}
}

// Without us the runtime takes the plain variant and moves its records. Names that the
// proxy keeps stay what they are. The plain variant is left with a name of its own.
func testPulledBehind(t *testing.T, f *fit) {
	s := f.newScene(t, f.cri)
	s.push(t, "1", "INDEX", "plain", "v3")
	s.pull(t, "app:1")
	s.sees(t, pulledByTag)
	s.pullBehind(t, "app:1")
	tag := "app:1 -> INDEX: plain"
	if f.byProxy {
		tag = "app:1 -> INDEX: v3"
	}
	s.sees(t, tag+`
		app@INDEX -> INDEX: v3
		app@v3 -> v3: v3, not listed
		id:plain -> INDEX: plain
		id:v3 -> v3: v3`)
	s.pull(t, "app:1")
	tag = "app:1 -> v3: v3, chosen from INDEX"
	if f.byProxy { // which leaves the runtime's record where it is true
		tag = "app:1 -> INDEX: v3"
	}
	both := tag + `
		app@INDEX -> INDEX: v3
		app@plain -> kept: plain
		app@v3 -> v3: v3, not listed
		id:plain -> INDEX: plain
		id:v3 -> v3: v3`
	s.sees(t, both)
	s.pullBehind(t, "app@INDEX")
	s.sees(t, both)
	s.pull(t, "app:1@INDEX")
	s.sees(t, both)
	s.remove(t, "id:plain") // with the runtime's records
	s.sees(t, pulledByTag)
}

func tagMoves(t *testing.T, s *scene) {
	s.push(t, "1", "INDEX", "plain", "v3")
	s.pull(t, "app:1")
	s.sees(t, pulledByTag)
	s.push(t, "1", "NEWER", "plain:new", "v3:new")
	s.pull(t, "app:1")
	s.sees(t, `
		app:1 -> v3:new: v3:new, chosen from NEWER
		app@INDEX -> kept: v3
		app@NEWER -> kept: v3:new
		app@v3 -> v3: v3, not listed
		app@v3:new -> v3:new: v3:new, not listed
		id:v3 -> v3: v3
		id:v3:new -> v3:new: v3:new`)
	s.push(t, "1", "NEWEST", "plain:newest") // and now nothing but what the runtime takes
	s.pull(t, "app:1")
	s.sees(t, `
		app:1 -> NEWEST: plain:newest
		app@INDEX -> kept: v3
		app@NEWER -> kept: v3:new
		app@NEWEST -> NEWEST: plain:newest
		app@v3 -> v3: v3, not listed
		app@v3:new -> v3:new: v3:new, not listed
		id:plain:newest -> NEWEST: plain:newest
		id:v3 -> v3: v3
		id:v3:new -> v3:new: v3:new`)
	s.remove(t, "id:"+s.own("v3", "plain")) // the kubelet collects
	s.remove(t, "id:"+s.own("v3:new", "plain:new"))
	s.sees(t, `
		app:1 -> NEWEST: plain:newest
		app@NEWEST -> NEWEST: plain:newest
		id:plain:newest -> NEWEST: plain:newest`)
	s.push(t, "1", "INDEX", "plain", "v3")
	s.pull(t, "app:1")
	s.sees(t, `
		app:1 -> v3: v3, chosen from INDEX
		app@INDEX -> kept: v3
		app@NEWEST -> NEWEST: plain:newest
		app@v3 -> v3: v3, not listed
		id:plain:newest -> NEWEST: plain:newest
		id:v3 -> v3: v3`)
}

// What an artifact says can change the choice while the tag stays where it is.
func testOtherChoice(t *testing.T, f *fit) {
	s := f.newScene(t, f.cri)
	s.push(t, "1", "INDEX", "plain", "v3")
	s.pull(t, "app:1")
	s.sees(t, pulledByTag)
	needs(t, s.repo, s.built["v3"], `"cpu-cpuid.AVX512F": true`)
	s.pull(t, "app:1")
	s.sees(t, `
		app:1 -> INDEX: plain
		app@INDEX -> INDEX: plain
		app@v3 -> v3: v3
		id:plain -> INDEX: plain
		id:v3 -> v3: v3`)
	s.pull(t, "app@INDEX")
	s.remove(t, "id:v3")
	s.sees(t, `
		app:1 -> INDEX: plain
		app@INDEX -> INDEX: plain
		id:plain -> INDEX: plain`)
}

func noTag(t *testing.T, s *scene) {
	s.push(t, "1", "INDEX", "plain", "v3")
	s.pull(t, "app:1@INDEX")
	s.sees(t, `
		app@INDEX -> kept: v3
		app@v3 -> v3: v3, not listed
		id:v3 -> v3: v3`)
	s.pull(t, "app:1")
	s.sees(t, pulledByTag)
	s.remove(t, "app:1")
	s.sees(t, "")
}

func twoTags(t *testing.T, s *scene) {
	s.push(t, "1", "INDEX", "plain", "v3")
	s.push(t, "2", "INDEX", "plain", "v3")
	s.pull(t, "app:1", "app:2")
	both := `
		app:1 -> v3: v3, chosen from INDEX
		app:2 -> v3: v3, chosen from INDEX
		app@INDEX -> kept: v3
		app@v3 -> v3: v3, not listed
		id:v3 -> v3: v3`
	s.sees(t, both)
	if !s.byProxy {
		s.ctrRemove(t, "app:1")
		s.soonSees(t, `
			app:2 -> v3: v3, chosen from INDEX
			app@INDEX -> kept: v3
			app@v3 -> v3: v3, not listed
			id:v3 -> v3: v3`)
	}
	s.pull(t, "app:1")
	s.sees(t, both)
	s.remove(t, "app:1") // CRI removes the image, with all of its names
	s.sees(t, "")
}

func twoIndexes(t *testing.T, s *scene) {
	s.push(t, "1", "INDEX", "plain", "v3")
	s.push(t, "2", "OTHER", "v3", "plain")
	s.pull(t, "app:1", "app:2")
	both := `
		app:1 -> v3: v3, chosen from INDEX
		app:2 -> v3: v3, chosen from OTHER
		app@INDEX -> kept: v3
		app@OTHER -> kept: v3
		app@v3 -> v3: v3, not listed
		id:v3 -> v3: v3`
	s.sees(t, both)
	if !s.byProxy {
		s.ctrRemove(t, "app:1")
		s.soonSees(t, `
			app:2 -> v3: v3, chosen from OTHER
			app@INDEX -> kept: v3
			app@OTHER -> kept: v3
			app@v3 -> v3: v3, not listed
			id:v3 -> v3: v3`)
	}
	s.pull(t, "app:1", "app:1@INDEX")
	s.sees(t, both)
	s.push(t, "1", "OTHER", "v3", "plain") // the tag moves, the variant does not
	s.pull(t, "app:1")
	s.sees(t, `
		app:1 -> v3: v3, chosen from OTHER
		app:2 -> v3: v3, chosen from OTHER
		app@INDEX -> kept: v3
		app@OTHER -> kept: v3
		app@v3 -> v3: v3, not listed
		id:v3 -> v3: v3`)
	s.remove(t, "app@OTHER")
	s.sees(t, "")
}

// CRI's name of an image is the digest of its config, whatever the layers are
// packed with: two manifests are one image to it.
func oneConfig(t *testing.T, s *scene) {
	s.push(t, "1", "INDEX", "plain", "v3")
	s.push(t, "2", "REPACKED", "plain+tar", "v3+tar")
	s.pull(t, "app:1", "app:2")
	both := `
		app:1 -> v3: v3, chosen from INDEX
		app:2 -> v3+tar: v3, chosen from REPACKED
		app@INDEX -> kept: v3
		app@REPACKED -> kept: v3
		app@v3 -> v3: v3, not listed
		app@v3+tar -> v3+tar: v3, not listed
		id:v3 -> v3+tar: v3`
	s.sees(t, both)
	if !s.byProxy {
		s.ctrRemove(t, "app:2")
		s.soonSees(t, `
			app:1 -> v3: v3, chosen from INDEX
			app@INDEX -> kept: v3
			app@REPACKED -> kept: v3
			app@v3 -> v3: v3, not listed
			app@v3+tar -> v3+tar: v3, not listed
			id:v3 -> v3+tar: v3`)
	}
	s.pull(t, "app:2", "app@REPACKED")
	s.sees(t, both)
	s.remove(t, "app@"+s.own("v3", "INDEX"))
	s.sees(t, "")
}

func oneConfigOneIndex(t *testing.T, s *scene) {
	s.push(t, "1", "INDEX", "plain", "plain+tar", "v3+tar", "v3")
	s.pull(t, "app:1")
	s.sees(t, `
		app:1 -> v3+tar: v3, chosen from INDEX
		app@INDEX -> kept: v3
		app@v3+tar -> v3+tar: v3, not listed
		id:v3 -> v3+tar: v3`)
	s.remove(t, "app:1")
	s.sees(t, "")
}
