package integration

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/internal/testkit/golden"
)

// description is one call of the kubelet in words.
type description struct {
	ref  string // the image that it is about
	pod  string // or the pod
	text string
}

// describe says what of a call is the kubelet's habit: the fields that are set, and
// none of their values that differ from run to run. Calls that are about neither an
// image nor a new pod or container have no text.
func describe(t *testing.T, c call) description {
	t.Helper()
	decode := func(m proto.Message) {
		if err := proto.Unmarshal(c.request, m); err != nil {
			t.Fatalf("%s: %v", c.method, err)
		}
	}
	switch c.method {
	case "ImageStatus":
		var r runtimeapi.ImageStatusRequest
		decode(&r)
		return description{ref: r.GetImage().GetImage(), text: "ImageStatus" + specFields(r.GetImage())}
	case "PullImage":
		var r runtimeapi.PullImageRequest
		decode(&r)
		text := "PullImage" + specFields(r.GetImage())
		if r.GetAuth() != nil {
			text += ", auth"
		}
		if r.GetSandboxConfig() != nil {
			text += ", sandbox_config"
		}
		return description{ref: r.GetImage().GetImage(), text: text}
	case "RunPodSandbox":
		var r runtimeapi.RunPodSandboxRequest
		decode(&r)
		return description{pod: r.GetConfig().GetMetadata().GetName(), text: "RunPodSandbox"}
	case "CreateContainer":
		var r runtimeapi.CreateContainerRequest
		decode(&r)
		kind := "name"
		if strings.HasPrefix(r.GetConfig().GetImage().GetImage(), "sha256:") {
			kind = "id"
		}
		user := r.GetConfig().GetLinux().GetSecurityContext().GetRunAsUser()
		return description{
			pod:  r.GetSandboxConfig().GetMetadata().GetName(),
			text: fmt.Sprintf("CreateContainer image by %s%s, run_as_user %d", kind, specFields(r.GetConfig().GetImage()), user.GetValue()),
		}
	}
	return description{}
}

func specFields(spec *runtimeapi.ImageSpec) string {
	text := ""
	if len(spec.GetAnnotations()) > 0 {
		text += ", annotations " + strings.Join(slices.Sorted(maps.Keys(spec.GetAnnotations())), " ")
	}
	if spec.GetUserSpecifiedImage() != "" {
		text += ", user_specified_image"
	}
	if spec.GetRuntimeHandler() != "" {
		text += ", runtime_handler"
	}
	return text
}

// What the kubelet says to the proxy as it starts pods is kept, so that the habits
// of a new kubelet show up as a difference.
func testKubeletCalls(t *testing.T, n *node, setup string) {
	byPod, others := map[string][]string{}, map[string]bool{}
	for _, c := range n.calls.take() {
		d := describe(t, c)
		for _, a := range n.app {
			if d.ref == a.ref || d.pod == a.name+"-node" {
				byPod[a.name] = append(byPod[a.name], d.text)
			}
		}
		if d.text == "" {
			others[c.method] = true
		}
	}
	var got strings.Builder
	for _, name := range []string{"absent-ifnotpresent", "absent-always", "present-ifnotpresent", "present-always", "present-never"} {
		fmt.Fprintf(&got, "%s:\n\t%s\n", name, strings.Join(byPod[name], "\n\t"))
	}
	path := filepath.Join("testdata", "kubelet-calls-"+setup+".golden")
	// Some of these come by the clock, so that not every run sees all of them.
	known, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	_, expected, _ := strings.Cut(string(known), "at any time:\n")
	for _, method := range strings.Fields(expected) {
		others[method] = true
	}
	fmt.Fprintf(&got, "at any time:\n\t%s\n", strings.Join(slices.Sorted(maps.Keys(others)), "\n\t"))
	golden.Equal(t, path, got.String())
}
