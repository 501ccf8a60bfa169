package admission

import (
	"context"
	"encoding/json"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containerd/nri/pkg/api"
	"github.com/opencontainers/go-digest"
	"google.golang.org/protobuf/proto"

	"github.com/imagefit/imagefit/internal/testkit"
	"github.com/imagefit/imagefit/internal/testkit/decisiontest"
	"github.com/imagefit/imagefit/pkg/config"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/decisionlog"
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/policy"
	"github.com/imagefit/imagefit/pkg/registry/referrers"
)

const (
	appTag = "registry.example/app:1"
	unfit  = "imagefit: registry.example/app:1 does not fit this node: linux/amd64/v3 needs cpu.x86_64 level >= 3 (is 2)"
)

func imageIDOf(name string) string { return digest.FromString(name).String() }

// newKnownImages returns an evaluator on a node of level 2 with three images: "unfit"
// requires level 3, "fits" nothing, and the artifact of "unclear" is unreadable.
func newKnownImages(t *testing.T) *decisiontest.Bench {
	t.Helper()
	k := decisiontest.New(t, testkit.Node(2))
	v3 := decision.EntryClaims{Platform: json.RawMessage(`{"os": "linux", "architecture": "amd64", "variant": "v3"}`)}
	plain := decision.EntryClaims{Platform: json.RawMessage(`{"os": "linux", "architecture": "amd64"}`)}
	for name, variant := range map[string]decision.Variant{
		"unfit":   {Reference: appTag, Claims: v3},
		"fits":    {Reference: appTag, Claims: plain},
		"unclear": {Reference: appTag, Claims: plain, Artifacts: []referrers.Artifact{{Problem: "broken"}}},
	} {
		if err := k.Cache.PutImage(imageIDOf(name), decision.Image{Variants: []decision.Variant{variant}}); err != nil {
			t.Fatal(err)
		}
	}
	return k
}

func pod(namespace, source string) *api.PodSandbox {
	return &api.PodSandbox{
		Id: "sandbox", Name: "pod", Namespace: namespace,
		Annotations: map[string]string{"kubernetes.io/config.source": source},
	}
}

func container(image string, annotations ...string) *api.Container {
	c := &api.Container{Id: "id", PodSandboxId: "sandbox", Name: "main", Annotations: map[string]string{}}
	if image != "" {
		c.Image = &api.Image{Name: "registry.example/other:2", Digest: imageIDOf("index"), ConfigDigest: imageIDOf(image)}
	}
	for i := 0; i+1 < len(annotations); i += 2 {
		c.Annotations[annotations[i]] = annotations[i+1]
	}
	return c
}

// ruled are images under other rules.
type ruled struct {
	Images
	rules *decision.Rules
}

func (r ruled) Snapshot() decision.Snapshot {
	return decision.Snapshot{Rules: r.rules, Facts: r.Images.Snapshot().Facts}
}

// newTestPlugin returns a plugin under the policy that has evaluated all images, and
// logs its records too.
func newTestPlugin(images Images, p policy.Policy, log *slog.Logger) *Plugin {
	rules := *images.Snapshot().Rules
	rules.Policy = p
	plugin := New(Options{Images: ruled{images, &rules}, Log: log, Record: func(r decisionlog.Record) {
		log.LogAttrs(context.Background(), r.Level(), "container", r.Attrs()...)
	}})
	plugin.verdicts.ask("")
	plugin.verdicts.catchUp(context.Background())
	return plugin
}

// policyWith returns a policy that refuses what does not fit, changed.
func policyWith(change func(*policy.Policy)) policy.Policy {
	p := policy.Policy{Answers: config.Default().Policy.Answers}
	if change != nil {
		change(&p)
	}
	return p
}

func TestHooksRefuseByVerdictAndPolicy(t *testing.T) {
	t.Parallel()
	exempt := func(p *policy.Policy) { p.ExemptNamespaces, p.ExemptStaticPods = []string{"kube-system"}, true }
	audit := func(p *policy.Policy) { p.Mode = policy.Audit }
	auditTeam := func(p *policy.Policy) {
		p.Repositories = map[string]policy.Answers{"registry.example/app": {Mode: policy.Audit}}
	}
	user, static := pod("default", "api"), pod("default", "file")
	tests := []struct {
		name      string
		policy    func(*policy.Policy)
		pod       *api.PodSandbox
		container *api.Container
		want      string // the refusal
		log       string // a line, once for both hooks if they admit it
	}{
		{"unfit", exempt, user, container("unfit"), unfit, "action=refused"},
		{"fits", exempt, user, container("fits"), "", ""},
		{"not clear", exempt, user, container("unclear"), "", ""},
		{"audit", audit, user, container("unfit"), "", "would=refused"},
		{"warn", func(p *policy.Policy) { p.Mode = policy.Warn }, user, container("unfit"), "", "would=refused mode=warn"},
		{"warn of the namespace", func(p *policy.Policy) { p.Namespaces = map[string]string{"default": policy.Warn} },
			user, container("unfit"), "", "would=refused mode=warn"},
		{"warn of another namespace", func(p *policy.Policy) { p.Namespaces = map[string]string{"other": policy.Warn} },
			user, container("unfit"), unfit, "action=refused"},
		{"exempt namespace", exempt, pod("kube-system", "api"), container("unfit"), "", "exempt=true"},
		{"audit of the repository", auditTeam, user, container("unfit"), "", "would=refused"},
		{"static pod", exempt, static, container("unfit"), "", "exempt=true"},
		{"static pods are not exempt", nil, static, container("unfit"), unfit, "action=refused"},
		{"not cached", exempt, user, container("stranger"), "", ""},
		{"no image", exempt, user, container(""), "", ""},
		{"no pod", exempt, nil, container("unfit"), unfit, "action=refused"},
		{"no container", exempt, user, nil, "", ""},
		{"by the reference in the pod", exempt, user, container("unfit", imageName, "registry.example/app:latest"),
			strings.Replace(unfit, appTag, "registry.example/app:latest", 1), "action=refused"},
		{"as another repository has it", exempt, user, container("unfit", imageName, "registry.example/copy:1"), "", ""},
		{"by its id", exempt, user, container("unfit", imageName, imageIDOf("unfit")),
			strings.Replace(unfit, appTag, imageIDOf("unfit"), 1), "action=refused"},
		{"by the beginning of its id", exempt, user, container("unfit", imageName, imageIDOf("unfit")[:19]),
			strings.Replace(unfit, appTag, imageIDOf("unfit")[:19], 1), "action=refused"},
		{"audit of the repository, by its id", auditTeam, user, container("unfit", imageName, imageIDOf("unfit")), "", "would=refused"},
		{"hostile reference", exempt, user, container("unfit", imageName, "app\n\x1b[2J"),
			strings.Replace(unfit, appTag, "app; ?[2J", 1), "action=refused"},
		{"CRI-O's annotation", exempt, user, container("", crioImageRef, imageIDOf("unfit")), unfit, "action=refused"},
		{"CRI-O's annotation without the algorithm", exempt, user,
			container("", crioImageRef, strings.TrimPrefix(imageIDOf("unfit"), "sha256:")), unfit, "action=refused"},
		{"CRI-O's reference", exempt, user, container("", crioImageRef, imageIDOf("unfit"), crioImage, "registry.example/app:latest"),
			strings.Replace(unfit, appTag, "registry.example/app:latest", 1), "action=refused"},
		{"as another repository on CRI-O has it", exempt, user,
			container("", crioImageRef, imageIDOf("unfit"), crioImage, "registry.example/copy:1", crioImageName, appTag), "", ""},
		{"a short name on CRI-O", exempt, user,
			container("", crioImageRef, imageIDOf("unfit"), crioImage, "app:1", crioImageName, appTag), unfit, "action=refused"},
		{"a short name of another image's end", exempt, user,
			container("", crioImageRef, imageIDOf("unfit"), crioImage, "pp:1", crioImageName, appTag), "", ""},
		{"an image id on CRI-O", exempt, user, container("", crioImageRef, strings.TrimPrefix(imageIDOf("unfit"), "sha256:"),
			crioImage, strings.TrimPrefix(imageIDOf("unfit"), "sha256:"), crioImageName, "registry.example/copy:1"), unfit, "action=refused"},
		{"an image id on CRI-O, with a repository of which nothing is known", exempt, user,
			container("", crioImageRef, imageIDOf("unfit"), crioImage, imageIDOf("unfit"),
				crioRepoDigests, "registry.example/app@"+imageIDOf("m")+",registry.example/copy@"+imageIDOf("m")), "", ""},
		{"an image id on CRI-O, with its repository", exempt, user,
			container("", crioImageRef, imageIDOf("unfit"), crioImage, imageIDOf("unfit"),
				crioRepoDigests, "registry.example/app@"+imageIDOf("m")+",registry.example/app@"+imageIDOf("i")), unfit, "action=refused"},
		{"audit of the repository on CRI-O", auditTeam, user,
			container("", crioImageRef, imageIDOf("unfit"), crioImage, appTag), "", "would=refused"},
		{"the image has precedence over an annotation", exempt, user, container("unfit", crioImageRef, imageIDOf("fits")), unfit, "action=refused"},
	}
	images := newKnownImages(t)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			log := new(testkit.Log)
			p := newTestPlugin(images, policyWith(test.policy), log.Logger())
			adjust, updates, err := p.CreateContainer(t.Context(), test.pod, test.container)
			if got := text(err); got != test.want || updates != nil {
				t.Errorf("CreateContainer\ngot  %s\nwant %s", got, test.want)
			}
			warned := &api.ContainerAdjustment{Annotations: map[string]string{"imagefit.io/warning": strings.TrimPrefix(unfit, "imagefit: ")}}
			if !strings.Contains(test.log, "mode=warn") {
				warned = nil
			}
			if !proto.Equal(adjust, warned) {
				t.Errorf("adjustment %v, want %v", adjust, warned)
			}
			err = p.ValidateContainerAdjustment(t.Context(), validation(test.pod, test.container))
			if got := text(err); got != test.want {
				t.Errorf("ValidateContainerAdjustment\ngot  %s\nwant %s", got, test.want)
			}
			want := map[bool]int{true: 1, false: 2}[test.want == ""] // refused once by each hook
			if n := log.Count(test.log); test.log != "" && n != want {
				t.Errorf("%d lines %q, want %d", n, test.log, want)
			}
			if n := log.Count("level=WARN"); test.log == "" && n != 0 {
				t.Errorf("%d warnings", n)
			}
		})
	}
}

func validation(pod *api.PodSandbox, c *api.Container) *api.ValidateContainerAdjustmentRequest {
	return &api.ValidateContainerAdjustmentRequest{Pod: pod, Container: c}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestSynchronizeRecordsRunningContainersThatDoNotFit(t *testing.T) {
	t.Parallel()
	log := new(testkit.Log)
	p := newTestPlugin(newKnownImages(t), policyWith(nil), log.Logger())
	lost := container("unfit")
	lost.PodSandboxId = "unknown"
	updates, err := p.Synchronize(t.Context(), []*api.PodSandbox{pod("default", "api")},
		[]*api.Container{container("unfit"), container("fits"), container("stranger"), lost})
	p.found.Wait()
	if err != nil || len(updates) != 0 {
		t.Errorf("updates %v, error %v", updates, err)
	}
	if log.Count("action=unfit") != 2 || log.Count("namespace=default pod=pod container=main image=") != 1 {
		t.Errorf("log: %s", log.String())
	}
}

// TestEachAdmissionWithoutACheckIsRecordedOnceWithItsReason, at a level that reaches the
// decision log.
func TestEachAdmissionWithoutACheckIsRecordedOnceWithItsReason(t *testing.T) {
	t.Parallel()
	images := newKnownImages(t)
	renamed := container("unfit", imageName, "other.example/renamed:1")
	byID := policyWith(func(p *policy.Policy) { p.UnknownName = policy.ByID })
	for name, test := range map[string]struct {
		policy    policy.Policy
		starting  bool
		container *api.Container
		want      policy.Reason
		refused   string
	}{
		"a known image":                 {policyWith(nil), false, container("fits"), "", ""},
		"no image":                      {policyWith(nil), false, container(""), policy.NotIdentified, ""},
		"never looked up":               {policyWith(nil), false, container("stranger"), policy.NotKnown, ""},
		"before all are evaluated":      {policyWith(nil), true, container("unfit"), policy.Starting, ""},
		"another name":                  {policyWith(nil), false, renamed, policy.OtherName, ""},
		"another name, by id":           {byID, false, renamed, "", strings.Replace(unfit, appTag, "other.example/renamed:1", 1)},
		"another name of one that fits": {byID, false, container("fits", imageName, "other.example/renamed:1"), "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newTestPlugin(images, test.policy, slog.New(slog.DiscardHandler))
			if test.starting {
				p.verdicts = NewVerdicts(p.Images, p.Log)
			}
			var records []decisionlog.Record
			p.Record = func(r decisionlog.Record) { records = append(records, r) }
			_, _, err := p.CreateContainer(t.Context(), pod("default", "api"), test.container)
			if text(err) != test.refused {
				t.Errorf("%v, want %q", err, test.refused)
			}
			if err := p.ValidateContainerAdjustment(t.Context(), validation(pod("default", "api"), test.container)); text(err) != test.refused {
				t.Errorf("%v, want %q", err, test.refused)
			}
			r := records[0]
			if r.ReasonCode != test.want || test.want != "" && (len(records) != 1 || r.Reason == "" || r.Level() < slog.LevelInfo || r.Action != policy.Admitted) {
				t.Errorf("recorded %+v, want one with %s", records, test.want)
			}
			if named := slices.ContainsFunc(r.Cases, func(c policy.Case) bool { return c.Key == "unknown_name" }); named != strings.Contains(name, "another name") {
				t.Errorf("cases %v", r.Cases)
			}
		})
	}
}

// TestContainersCreatedWhileThePluginWasAwayAreRecorded when it is back, also by the next
// process.
func TestContainersCreatedWhileThePluginWasAwayAreRecorded(t *testing.T) {
	t.Parallel()
	images, path := newKnownImages(t), filepath.Join(t.TempDir(), "stamp")
	session := func(containers ...*api.Container) (found []policy.Reason) {
		p := New(Options{Images: images, Log: slog.New(slog.DiscardHandler), Stamp: path, Record: func(r decisionlog.Record) {
			found = append(found, r.ReasonCode)
		}})
		p.verdicts.ask("")
		p.verdicts.catchUp(t.Context())
		if _, err := p.Synchronize(t.Context(), nil, containers); err != nil {
			t.Error(err)
		}
		p.found.Wait()
		return found
	}
	early, late := container("fits"), container("stranger")
	early.CreatedAt = time.Now().Add(-time.Hour).UnixNano()
	if found := session(early); len(found) != 0 {
		t.Errorf("when it was never connected before: %v", found)
	}
	late.CreatedAt = time.Now().Add(time.Minute).UnixNano()
	if found := session(early, late); !slices.Equal(found, []policy.Reason{policy.NotConnected}) {
		t.Errorf("recorded %v, want the late one", found)
	}
}

// TestPodTurnsTheCheckOfNVIDIAOff: a container of a pod may have NVIDIA_DISABLE_REQUIRE
// where its image has not.
func TestPodTurnsTheCheckOfNVIDIAOff(t *testing.T) {
	t.Parallel()
	images := newKnownImages(t)
	cuda := decision.EntryClaims{
		Platform:    json.RawMessage(`{"os": "linux", "architecture": "amd64"}`),
		Environment: map[string]string{"NVIDIA_REQUIRE_CUDA": "cuda>=99"},
	}
	both := cuda
	both.Platform = json.RawMessage(`{"os": "linux", "architecture": "amd64", "variant": "v3"}`)
	features := images.Facts.Load().Features()
	features.Attributes["gpu.nvidia"] = map[string]string{"count": "0"}
	images.Facts.Store(facts.New("linux", "amd64", features))
	for name, claims := range map[string]decision.EntryClaims{"cuda": cuda, "both": both} {
		variant := decision.Variant{Reference: appTag, Claims: claims}
		if err := images.Cache.PutImage(imageIDOf(name), decision.Image{Variants: []decision.Variant{variant}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		image, env string
		refused    string
	}{
		{"cuda", "PATH=/bin", "gpu.nvidia cuda_version >= 99 (absent)"},
		{"cuda", "NVIDIA_DISABLE_REQUIRE=0", "gpu.nvidia cuda_version >= 99 (absent)"},
		{"cuda", "NVIDIA_DISABLE_REQUIRE=1", ""},
		{"cuda", "NVIDIA_DISABLE_REQUIRE=true", ""},
		{"both", "NVIDIA_DISABLE_REQUIRE=1", "needs cpu.x86_64 level >= 3 (is 2)"},
	} {
		c := container(tt.image)
		c.Env = []string{tt.env}
		_, _, err := newTestPlugin(images, policyWith(nil), slog.New(slog.DiscardHandler)).CreateContainer(t.Context(), pod("default", "api"), c)
		if (err == nil) != (tt.refused == "") || err != nil && !strings.HasSuffix(err.Error(), tt.refused) {
			t.Errorf("%s with %s: %v, want %q", tt.image, tt.env, err, tt.refused)
		}
	}
}

func TestConfigurationOfTheRuntimeIsHandedOn(t *testing.T) {
	t.Parallel()
	var got []string
	p := newTestPlugin(newKnownImages(t), policyWith(nil), slog.New(slog.DiscardHandler))
	p.Configured = func(text string) { got = append(got, text) }
	for _, text := range []string{"", "policy.mode = \"warn\""} {
		if _, err := p.Configure(t.Context(), text, "containerd", "2.4.2"); err != nil {
			t.Error(err)
		}
	}
	if len(got) != 1 || got[0] != `policy.mode = "warn"` {
		t.Errorf("handed on %q", got)
	}
}
