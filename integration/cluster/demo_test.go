package cluster

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/imagefit/imagefit/pkg/nodeclass"
)

// TestDemo is `make demo-cluster`: it prints what it does. Without IMAGEFIT_DEMO it only
// checks.
func TestDemo(t *testing.T) {
	s := newScene(t)
	say := func(format string, args ...any) {
		if os.Getenv("IMAGEFIT_DEMO") != "" {
			fmt.Printf(format+"\n", args...)
		}
	}
	classes := map[string]nodeclass.Class{"x86-64-v2": s.class(t, 2), "x86-64-v3": s.class(t, 3), "x86-64-v4": s.class(t, 4, amx)}
	kinds := []struct {
		name, arch string
		nodes      int
	}{{"x86-64-v2", "amd64", 40}, {"x86-64-v3", "amd64", 35}, {"x86-64-v4", "amd64", 5}, {"arm", "arm64", 20}}
	say("\nA cluster of a hundred nodes:")
	for _, kind := range kinds {
		for i := range kind.nodes {
			s.node(t, fmt.Sprintf("%s-%d", kind.name, i), kind.arch, classes[kind.name].ID)
		}
		class := classes[kind.name].ID
		if class == "" {
			class = "none: nothing reports it"
		}
		say("  %2d x %-10s %s, class %s", kind.nodes, kind.name, kind.arch, class)
	}
	_, four, _ := s.push(t, "four", "amd64", "amd64/v3", "amd64/v4", "arm64")
	repo, special, pushed := s.push(t, "amx", "amd64", "arm64")
	needs(t, repo, pushed[0], `"cpu-cpuid.AMXINT8": true`)
	needs(t, repo, pushed[1], `"cpu-cpuid.SVE2": true`)
	_, power, _ := s.push(t, "power", "ppc64le")
	s.start(t)
	say("\nImages:\n  four    amd64, amd64/v3, amd64/v4, arm64\n  amx     amd64 (needs AMXINT8), arm64 (needs SVE2)\n  power   ppc64le")
	say("\nTwelve pods of each image of the first two, one of the last:")
	for i := range 12 {
		s.create(t, podObject(fmt.Sprintf("four-%d", i), four))
		s.create(t, podObject(fmt.Sprintf("amx-%d", i), special))
	}
	s.create(t, podObject("power", power))
	for _, image := range []string{"four", "amx"} {
		on := map[string]int{}
		for i := range 12 {
			node := s.awaitNode(t, fmt.Sprintf("%s-%d", image, i)).Spec.NodeName
			on[node[:strings.LastIndex(node, "-")]]++
		}
		for _, kind := range slices.Sorted(maps.Keys(on)) {
			say("  %-6s %2d on nodes of %s", image, on[kind], kind)
			if image == "four" && kind != "x86-64-v4" || kind != "x86-64-v4" && kind != "arm" {
				t.Errorf("%d pods of %s are on %s", on[kind], image, kind)
			}
		}
	}
	pod := s.await(t, "power", "told", func(p *corev1.Pod) bool { return condition(p, "imagefit.dev/Fits") != nil })
	say("  power   pending, with the condition imagefit.dev/Fits:\n\n    %s\n", condition(pod, "imagefit.dev/Fits").Message)
	events, err := s.CoreV1().Events(s.namespace).List(t.Context(), metav1.ListOptions{FieldSelector: "involvedObject.name=four-0,reason=ImagefitPlaced"})
	must(t, err)
	for _, e := range events.Items {
		say("The event of the pod four-0:\n\n    %s\n", e.Message)
	}
}
