package cluster

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/imagefit/imagefit/pkg/nodeclass"
)

func zone(values ...string) corev1.NodeSelectorRequirement {
	return corev1.NodeSelectorRequirement{Key: "zone", Operator: corev1.NodeSelectorOpNotIn, Values: values}
}

func affinity(preferred []corev1.PreferredSchedulingTerm, terms ...corev1.NodeSelectorTerm) *corev1.Affinity {
	node := &corev1.NodeAffinity{PreferredDuringSchedulingIgnoredDuringExecution: preferred}
	if terms != nil {
		node.RequiredDuringSchedulingIgnoredDuringExecution = &corev1.NodeSelector{NodeSelectorTerms: terms}
	}
	return &corev1.Affinity{NodeAffinity: node}
}

// TestPodsRunWhereTheBestVariantDoes: an image of three variants, of which the plain one
// needs a CPU feature, on nodes of three classes.
func TestPodsRunWhereTheBestVariantDoes(t *testing.T) {
	s := newScene(t)
	v1, v2, v3 := s.class(t, 1), s.class(t, 2), s.class(t, 3)
	for i, class := range []nodeclass.Class{v1, v2, v3} {
		s.node(t, []string{"n1", "n2", "n3"}[i], "amd64", class.ID)
	}
	repo, ref, pushed := s.push(t, "app", "amd64", "amd64/v2", "amd64/v3")
	needs(t, repo, pushed[0], `"cpu-cpuid.AMXINT8": true`)
	s.start(t)
	amd64 := corev1.NodeSelectorRequirement{Key: "kubernetes.io/arch", Operator: corev1.NodeSelectorOpIn, Values: []string{"amd64"}}
	notV1 := corev1.NodeSelectorRequirement{Key: nodeclass.Label, Operator: corev1.NodeSelectorOpNotIn, Values: []string{v1.ID}}
	best := corev1.PreferredSchedulingTerm{Weight: 100, Preference: corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{
		{Key: nodeclass.Label, Operator: corev1.NodeSelectorOpIn, Values: []string{v3.ID}},
	}}}
	field := corev1.NodeSelectorRequirement{Key: "metadata.name", Operator: corev1.NodeSelectorOpIn, Values: []string{"n2"}}
	own := corev1.PreferredSchedulingTerm{Weight: 7, Preference: corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{zone("z")}}}
	tests := []struct {
		name, node string
		affinity   *corev1.Affinity
		want       *corev1.Affinity
	}{
		{"none", "n3", nil, affinity([]corev1.PreferredSchedulingTerm{best}, corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{amd64, notV1}})},
		{"pods-alone", "n3", &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{}}, affinity([]corev1.PreferredSchedulingTerm{best}, corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{amd64, notV1}})},
		{
			"one-term", "n3", affinity(nil, corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{zone("a")}}),
			affinity([]corev1.PreferredSchedulingTerm{best}, corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{zone("a"), amd64, notV1}}),
		},
		{
			"two-terms", "n3", affinity([]corev1.PreferredSchedulingTerm{own},
				corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{zone("a")}}, corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{zone("b")}}),
			affinity([]corev1.PreferredSchedulingTerm{own, best}, corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{zone("a"), amd64, notV1}},
				corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{zone("b"), amd64, notV1}}),
		},
		{
			"a-field", "n2", affinity(nil, corev1.NodeSelectorTerm{MatchFields: []corev1.NodeSelectorRequirement{field}}),
			affinity([]corev1.PreferredSchedulingTerm{best}, corev1.NodeSelectorTerm{MatchFields: []corev1.NodeSelectorRequirement{field}, MatchExpressions: []corev1.NodeSelectorRequirement{amd64, notV1}}),
		},
	}
	for _, test := range tests {
		pod := podObject(test.name, ref)
		pod.Spec.Affinity = test.affinity
		if pod = s.create(t, pod); !gated(pod) {
			t.Errorf("%s: not gated", test.name)
		}
	}
	for _, test := range tests {
		pod := s.awaitNode(t, test.name)
		if pod.Spec.NodeName != test.node {
			t.Errorf("%s runs on %s, want %s", test.name, pod.Spec.NodeName, test.node)
		}
		got, _ := json.Marshal(pod.Spec.Affinity.NodeAffinity)
		want, _ := json.Marshal(test.want.NodeAffinity)
		if string(got) != string(want) {
			t.Errorf("%s: affinity\n%s, want\n%s", test.name, got, want)
		}
		if pod.Annotations["imagefit.dev/placed"] != "placed" || condition(pod, "imagefit.dev/Fits") != nil {
			t.Errorf("%s: annotations %v, conditions %v", test.name, pod.Annotations, pod.Status.Conditions)
		}
	}
	message := s.awaitEvent(t, "none", "ImagefitPlaced")
	if want := "imagefit: the pod needs kubernetes.io/arch amd64, does not fit 1 of 3 node classes, runs best on class " + v3.ID; message != want {
		t.Errorf("event %q, want %q", message, want)
	}
}

// TestEveryImageOfAPodMatters: one container fits one class, an init container another.
func TestEveryImageOfAPodMatters(t *testing.T) {
	s := newScene(t)
	old, recent := s.class(t, 3), s.class(t, 2, amx)
	s.node(t, "old", "amd64", old.ID)
	s.node(t, "recent", "amd64", recent.ID)
	_, fast, _ := s.push(t, "fast", "amd64/v3")
	repo, setup, pushed := s.push(t, "setup", "amd64")
	needs(t, repo, pushed[0], `"cpu-cpuid.AMXINT8": true`)
	_, plain, _ := s.push(t, "plain", "amd64", "arm64")
	s.start(t)
	both := podObject("both", plain, fast)
	both.Spec.InitContainers = []corev1.Container{{Name: "init", Image: setup}}
	volume := podObject("volume", plain)
	volume.Spec.Volumes = []corev1.Volume{{Name: "model", VolumeSource: corev1.VolumeSource{Image: &corev1.ImageVolumeSource{Reference: fast}}}}
	first := podObject("first", plain)
	first.Spec.InitContainers = []corev1.Container{{Name: "init", Image: setup}}
	s.create(t, both)
	s.create(t, first)
	s.create(t, volume)
	if pod := s.awaitNode(t, "first"); pod.Spec.NodeName != "recent" {
		t.Errorf("an image of an init container does not matter: the pod is on %s", pod.Spec.NodeName)
	}
	if terms, _ := json.Marshal(s.awaitNode(t, "volume").Spec.Affinity); strings.Contains(string(terms), nodeclass.Label) {
		t.Errorf("an image volume matters: %s", terms)
	}
	pod := s.await(t, "both", "unschedulable", func(p *corev1.Pod) bool { return condition(p, "imagefit.dev/Fits") != nil })
	if gated(pod) {
		t.Error("it is still gated")
	}
	c := condition(pod, "imagefit.dev/Fits")
	for _, want := range []string{"imagefit: no node of the cluster fits: ", "class " + old.ID + " (1 node): ", "cpu.cpuid AMXINT8", "class " + recent.ID + " (1 node): "} {
		if c.Status != corev1.ConditionFalse || c.Reason != "ImagefitNoNodeFits" || !strings.Contains(c.Message, want) {
			t.Errorf("condition %+v lacks %q", c, want)
		}
	}
	if message := s.awaitEvent(t, "both", "ImagefitNoNodeFits"); message != c.Message {
		t.Errorf("event %q, condition %q", message, c.Message)
	}
	s.await(t, "both", "unschedulable for the scheduler", func(p *corev1.Pod) bool {
		c := condition(p, corev1.PodScheduled)
		return c != nil && c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable
	})
}

// TestPlatformsSteerWithoutAgentsAndArtifacts: no node has a class.
func TestPlatformsSteerWithoutAgentsAndArtifacts(t *testing.T) {
	s := newScene(t)
	s.node(t, "x86", "amd64", "")
	s.node(t, "arm", "arm64", "")
	_, both, _ := s.push(t, "both", "amd64", "arm64")
	_, arm, _ := s.push(t, "arm", "arm64")
	repo := s.registry.Repo("single")
	_, err := repo.PushImage(t.Context(), "1", arm64Image())
	must(t, err)
	_, power, _ := s.push(t, "power", "ppc64le")
	s.start(t)
	for name, ref := range map[string]string{"both": both, "arm": arm, "single": repo.Ref("1"), "power": power} {
		s.create(t, podObject(name, ref))
	}
	for _, name := range []string{"arm", "single"} {
		if pod := s.awaitNode(t, name); pod.Spec.NodeName != "arm" {
			t.Errorf("%s is on %s", name, pod.Spec.NodeName)
		}
	}
	arches := func(name string) []string {
		pod := s.await(t, name, "ungated", func(p *corev1.Pod) bool { return !gated(p) })
		return pod.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms[0].MatchExpressions[0].Values
	}
	if got := arches("both"); !slices.Equal(got, []string{"amd64", "arm64"}) {
		t.Errorf("both needs %v", got)
	}
	if got := arches("power"); !slices.Equal(got, []string{"ppc64le"}) {
		t.Errorf("power needs %v", got)
	}
	pod := s.await(t, "power", "told", func(p *corev1.Pod) bool { return condition(p, "imagefit.dev/Fits") != nil })
	message := condition(pod, "imagefit.dev/Fits").Message
	for _, want := range []string{"linux/amd64 (1 node)", "linux/arm64 (1 node)", "has no entry for linux/amd64"} {
		if !strings.Contains(message, want) {
			t.Errorf("%q lacks %q", message, want)
		}
	}
	// A node that joins later is used, without a class as well, and the condition says so.
	away := nodeObject("power9", "ppc64le", "")
	away.Spec.Taints = []corev1.Taint{{Key: "example.com/away", Effect: corev1.TaintEffectNoSchedule}}
	_, err = s.CoreV1().Nodes().Create(t.Context(), away, metav1.CreateOptions{})
	must(t, err)
	s.awaitFits(t, "power", corev1.ConditionTrue, "imagefit: a node of the cluster fits now")
	must(t, s.CoreV1().Nodes().Delete(t.Context(), "power9", metav1.DeleteOptions{}))
	s.awaitFits(t, "power", corev1.ConditionFalse, message)
	s.node(t, "power10", "ppc64le", "")
	if pod := s.awaitNode(t, "power"); pod.Spec.NodeName != "power10" {
		t.Errorf("power is on %s", pod.Spec.NodeName)
	}
	s.await(t, "power", "fitting", func(p *corev1.Pod) bool { return condition(p, "imagefit.dev/Fits").Status == corev1.ConditionTrue })
}

// TestNodeThatJoinsWithoutAClassIsUsed, and strict does not use it.
func TestNodeThatJoinsWithoutAClassIsUsed(t *testing.T) {
	for _, strict := range []string{"false", "true"} {
		t.Run(strict, func(t *testing.T) {
			s := newScene(t)
			old := s.class(t, 1)
			good := s.class(t, 3)
			s.node(t, "old", "amd64", old.ID)
			s.node(t, "good", "amd64", good.ID)
			_, ref, _ := s.push(t, "app", "amd64/v3")
			s.start(t, "strict = "+strict)
			pod := podObject("app", ref)
			pod.Spec.NodeSelector = map[string]string{"kubernetes.io/hostname": "new"}
			s.create(t, pod)
			s.await(t, "app", "ungated", func(p *corev1.Pod) bool { return !gated(p) })
			s.node(t, "new", "amd64", "")
			if strict == "false" {
				s.awaitNode(t, "app")
				return
			}
			pod = podObject("anywhere", ref)
			s.create(t, pod)
			if pod := s.awaitNode(t, "anywhere"); pod.Spec.NodeName != "good" {
				t.Errorf("it is on %s", pod.Spec.NodeName)
			}
			pod, err := s.CoreV1().Pods(s.namespace).Get(t.Context(), "app", getOptions())
			must(t, err)
			if pod.Spec.NodeName != "" {
				t.Errorf("strict: it is on %s", pod.Spec.NodeName)
			}
		})
	}
}
