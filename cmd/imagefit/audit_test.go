package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"google.golang.org/grpc"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/internal/testkit/critest"
	"github.com/imagefit/imagefit/internal/testkit/hosttest"
	"github.com/imagefit/imagefit/pkg/audit"
	"github.com/imagefit/imagefit/pkg/cache"
	"github.com/imagefit/imagefit/pkg/decision"
)

// lister is a runtime with one pod, whose containers and images are all of the same names.
type lister struct {
	critest.Runtime
	refs []string
}

func (l *lister) ListPodSandbox(context.Context, *runtimeapi.ListPodSandboxRequest) (*runtimeapi.ListPodSandboxResponse, error) {
	return &runtimeapi.ListPodSandboxResponse{Items: []*runtimeapi.PodSandbox{
		{Id: "pod", Metadata: &runtimeapi.PodSandboxMetadata{Name: "web", Namespace: "shop"}},
	}}, nil
}

// auditedNode is a node without AVX that runs one container of each of two images, of which
// one is for x86-64-v3.
func auditedNode(t *testing.T) (config string) {
	t.Helper()
	dir, config := imagesNode(t)
	root := hosttest.Tree(t, map[string]string{"proc/cpuinfo": "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\n" +
		"model\t\t: 60\nflags\t\t: fpu cx8 cmov mmx fxsr sse sse2 syscall lm pni ssse3 cx16 sse4_1 sse4_2 popcnt lahf_lm\n\n"})
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, append(text, "facts.root = \""+root+"\"\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	state, err := cache.Open(filepath.Join(dir, "state"), 64<<20)
	if err != nil {
		t.Fatal(err)
	}
	l := &lister{}
	for name, platform := range map[string]string{
		"registry.example/unfit:1": `{"os": "linux", "architecture": "amd64", "variant": "v3"}`, "registry.example/fits:1": `{"os": "linux", "architecture": "amd64"}`,
	} {
		claims := decision.EntryClaims{Platform: json.RawMessage(platform)}
		image := decision.Image{Variants: []decision.Variant{{Reference: name, Claims: claims}}}
		if err := state.PutImage(digest.FromString(name).String(), image); err != nil {
			t.Fatal(err)
		}
		l.refs = append(l.refs, name)
	}
	l.OnList = func(context.Context, *runtimeapi.ListContainersRequest) (*runtimeapi.ListContainersResponse, error) {
		list := &runtimeapi.ListContainersResponse{}
		for _, ref := range l.refs {
			list.Containers = append(list.Containers, &runtimeapi.Container{
				Id: ref, PodSandboxId: "pod", Metadata: &runtimeapi.ContainerMetadata{Name: "main\x1b"},
				Image: &runtimeapi.ImageSpec{UserSpecifiedImage: ref}, ImageId: digest.FromString(ref).String(),
			})
		}
		return list, nil
	}
	l.OnImages = func(context.Context, *runtimeapi.ListImagesRequest) (*runtimeapi.ListImagesResponse, error) {
		list := &runtimeapi.ListImagesResponse{}
		for _, ref := range l.refs {
			list.Images = append(list.Images, &runtimeapi.Image{Id: digest.FromString(ref).String(), RepoTags: []string{ref}})
		}
		return list, nil
	}
	server := grpc.NewServer()
	runtimeapi.RegisterRuntimeServiceServer(server, l)
	runtimeapi.RegisterImageServiceServer(server, l)
	critest.Serve(t, filepath.Join(dir, "runtime"), server)
	return config
}

func TestAuditListsWhatWouldNotBeAdmitted(t *testing.T) {
	t.Parallel()
	config := auditedNode(t)
	got := tool(t, "", "audit", "--config", config)
	if code, ok := errors.AsType[cli.ExitError](got.err); !ok || code != 3 {
		t.Errorf("error %v, want exit code 3", got.err)
	}
	for _, want := range []string{
		"refused   shop/web   main?       registry.example/unfit:1   does not fit this node: ",
		"running containers: 2 (1 refused, 1 admitted)", "image names: 2 (1 refused, 1 admitted)",
	} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("lacks %q:\n%s", want, got.stdout)
		}
	}
	if strings.Contains(got.stdout, "fits:1") {
		t.Errorf("what is admitted is listed without --all:\n%s", got.stdout)
	}
	if all := tool(t, "", "audit", "--all", "--config", config); !strings.Contains(all.stdout, "registry.example/fits:1") {
		t.Errorf("--all lacks what is admitted:\n%s", all.stdout)
	}
	var r audit.Report
	if err := json.Unmarshal([]byte(tool(t, "", "audit", "-o", "json", "--config", config).stdout), &r); err != nil || len(r.Containers) != 2 {
		t.Errorf("JSON: %v, %+v", err, r)
	}
	tolerated := tool(t, "", "audit", "--config", config, "--set", "policy.mode=audit")
	if !errors.As(tolerated.err, new(cli.ExitError)) || !strings.Contains(tolerated.stdout, "tolerated (audit)") {
		t.Errorf("in mode audit: %v\n%s", tolerated.err, tolerated.stdout)
	}
}

func TestAuditNamesTheRuntimeThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	dir, config := imagesNode(t)
	wantError(t, tool(t, "", "audit", "--config", config).err, "the runtime does not list containers at ", filepath.Join(dir, "runtime"), "no such file or directory; check that it runs",
		"config check --live")
	if os.Geteuid() == 0 {
		return // who may read everything
	}
	wantError(t, tool(t, "", "audit", "--config", config).err, "sudo imagefit audit")
}
