package dialect_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/internal/testkit"
	"github.com/imagefit/imagefit/internal/testkit/compattest"
	"github.com/imagefit/imagefit/pkg/compat/dialect"
	"github.com/imagefit/imagefit/pkg/selector"
)

func TestEntryRequirementsOfEachProposal(t *testing.T) {
	t.Parallel()
	prefs := []dialect.AnnotationPreference{
		{Key: "com.example.gpu", Value: "example-gpu-model", Weight: 10}, {Key: "com.example.tuned", Weight: 3},
	}
	tests := []struct {
		name, platform string
		annotations    map[string]string
		want           selector.Outcome
		score          int
		reason         string
	}{
		{"nothing", "", nil, selector.Fits, 0, ""},
		{"Proposal A", "", map[string]string{"com.example.gpu": "example-gpu-model"}, selector.Fits, 10, ""},
		{"Proposal A, two", "", map[string]string{"com.example.gpu": "example-gpu-model", "com.example.tuned": "yes"}, selector.Fits, 13, ""},
		{"Proposal A, another value", "", map[string]string{"com.example.gpu": "other"}, selector.Fits, 0, ""},
		{"Proposal E", `{"os":"linux","architecture":"amd64","variant":"v2","features":["avx2","bmi2"]}`, nil, selector.Fits, 0, ""},
		{"Proposal E, under another name", `{"architecture":"amd64","features":["sse42","avx512f"]}`, nil, selector.Fits, 0, ""},
		{"Proposal E, absent", `{"architecture":"amd64","features":["avx2","sse41"]}`, nil, selector.Unfit, 0, "needs cpu.cpuid SSE4 (absent)"},
		{"Proposal E, unknown", `{"architecture":"amd64","features":["avx2","warp"]}`, nil, selector.Unknown, 0, `needs platform/features warp (unknown: no feature of that name is known for "amd64")`},
		{"Proposal E, of another architecture", `{"architecture":"amd64","features":["sve"]}`, nil, selector.Unknown, 0, `needs platform/features sve (unknown: no feature of that name is known for "amd64")`},
		{"Proposal H", `{"architecture":"amd64","compatibilities":[{"oci.cpu.vendor":"GenuineIntel","oci.compatibility-score":5}]}`, nil, selector.Fits, 5, ""},
		{"Proposal H, absent", `{"architecture":"amd64","compatibilities":[{"oci.cpu.vendor":"AuthenticAMD"}]}`, nil, selector.Unfit, 0, "needs cpu.model vendor_id=AMD (is Intel)"},
		{"Proposal H, empty", `{"architecture":"amd64","compatibilities":[]}`, nil, selector.Fits, 0, ""},
		{"os.features", `{"os":"linux","architecture":"amd64","os.features":["cuda12"]}`, nil, selector.Fits, 0, ""},
		{"os.features, too new", `{"os":"linux","architecture":"amd64","os.features":["cuda13"]}`, nil, selector.Unfit, 0, "needs a newer driver: driver 535.104.05 is too old for CUDA 13 (needs >= 580.65.06)"},
		{"os.features, unknown", `{"os":"linux","architecture":"amd64","os.features":["erofs"]}`, nil, selector.Unknown, 0, "needs platform/os.features erofs (unknown: no compatibility spec knows this os feature)"},
		{"os.version of Linux", `{"os":"linux","architecture":"amd64","os.version":"6.8"}`, nil, selector.Fits, 0, ""},
		{"os.version of Windows", `{"os":"windows","architecture":"amd64","os.version":"10.0.14393.1066"}`, nil, selector.Unknown, 0, `needs platform/os.version 10.0.14393.1066 (unknown: what os.version means is not defined for "windows")`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			reqs, err := dialect.EntryRequirements(testkit.Interpreter(t), json.RawMessage(tt.platform), tt.annotations, prefs)
			if err != nil {
				t.Fatal(err)
			}
			v := selector.Evaluate(compattest.HPC(), reqs)
			if v.Outcome != tt.want || v.Score != tt.score || v.Reason() != tt.reason {
				t.Errorf("%s, score %d: %s", v.Outcome, v.Score, v.Reason())
			}
		})
	}
}

func TestEntryRequirementsRefuseWithRowAndColumn(t *testing.T) {
	t.Parallel()
	tests := []struct{ platform, want string }{
		{`{`, "read platform: row 1, column 1: unexpected end of JSON input"},
		{`[]`, "read platform: row 1, column 1: expected the platform to be an object, found a list"},
		{`{"features":"avx2"}`, `read platform: row 1, column 13: expected features to be a list, found "avx2"`},
		{`{"os.features":[{}]}`, "read platform: row 1, column 17: expected a member of os.features to be a string, found an object"},
		{`{"compatibilities":{}}`, "read platform: row 1, column 20: expected compatibilities to be a list, found an object"},
		{`{"features":[` + strings.TrimSuffix(strings.Repeat(`"a",`, 1001), ",") + `]}`, "read platform: row 1, column 13: more than 1000 features"},
	}
	for _, tt := range tests {
		reqs, err := dialect.EntryRequirements(testkit.Interpreter(t), json.RawMessage(tt.platform), nil, nil)
		if err == nil || err.Error() != tt.want || reqs != nil {
			t.Errorf("got  %v, %v\nwant %s", err, reqs, tt.want)
		}
	}
}

func TestEntryCompatIsTheDescriptorOfProposalJ(t *testing.T) {
	t.Parallel()
	var entry struct{ Platform json.RawMessage }
	if err := json.Unmarshal(compattest.ReadFile(t, "proposal-j/entry.json"), &entry); err != nil {
		t.Fatal(err)
	}
	got, ok, err := dialect.EntryCompat(entry.Platform)
	want := dialect.CompatDescriptor{
		MediaType: "application/vnd.oci.image.compatibilities.v1+json", Size: 7682,
		Digest: "sha256:5b0bcabd1ed22e9fb1310cf6c2dec7cdef19f0ad69efa1f392e94a4333501270",
	}
	if !ok || err != nil || got != want {
		t.Errorf("got %+v, %v, %v", got, ok, err)
	}
	for platform, want := range map[string]string{
		"": "", `{}`: "", `{"compat":null}`: "",
		`{"compat":[]}`:                  "cannot unmarshal array",
		`{"compat":{"mediaType":"a/b"}}`: `compat has the media type "a/b"`,
		`{"compat":{"mediaType":"application/vnd.oci.image.compatibilities.v1+json","size":1}}`: "compat needs digest and size",
	} {
		_, ok, err := dialect.EntryCompat(json.RawMessage(platform))
		if ok || (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v", platform, ok, err)
		}
	}
}

func FuzzEntryRequirements(f *testing.F) {
	f.Add([]byte(`{"os":"linux","architecture":"amd64","features":["avx2"],"os.features":["a"],"os.version":"1","compatibilities":[{"oci.os.glibc":"[1,2]"}]}`))
	in, facts := testkit.Interpreter(f), compattest.HPC()
	f.Fuzz(func(t *testing.T, platform []byte) {
		_, _, _ = dialect.EntryCompat(platform)
		reqs, err := dialect.EntryRequirements(in, platform, nil, nil)
		if err != nil && reqs != nil {
			t.Fatal("half read")
		}
		v := selector.Evaluate(facts, reqs)
		_ = v.Reason()
	})
}
