package dialect_test

import (
	"strings"
	"testing"

	"github.com/imagefit/imagefit/internal/testkit"
	"github.com/imagefit/imagefit/internal/testkit/compattest"
	"github.com/imagefit/imagefit/pkg/compat/dialect"
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/selector"
)

// TestGraphConditionsDecideOverTheirTargets: what the conditions of Proposal B ask of what an edge
// leads to.
func TestGraphConditionsDecideOverTheirTargets(t *testing.T) {
	t.Parallel()
	body := func(condition string) string {
		return `{"spec":{"compatibilities":[
			{"id":"root","domain":"org.opencontainers","attributes":{"kernel.modules.root":"true"}},
			{"id":"a","domain":"org.opencontainers","attributes":{"kernel.modules.a":"true"}},
			{"id":"b","domain":"org.opencontainers","attributes":{"kernel.modules.b":"true"}}],
			"relations":{"graphs":{"g":{"edges":[{"from":"root","to":{"compatibilities":["a","b"],"condition":"` + condition + `"}}]}},
			"validationCriteria":[{"graphs":["g"],"condition":"allOf"}]}}}`
	}
	tests := []struct{ condition, modules, want string }{
		{"allOf", "root a b", "fits"},
		{"allOf", "root a", "does not fit"},
		{"allOf", "a b", "does not fit"},
		{"oneOf", "root a", "fits"},
		{"oneOf", "root b", "fits"},
		{"oneOf", "root a b", "does not fit"},
		{"oneOf", "root", "does not fit"},
		{"noneOf", "root", "fits"},
		{"noneOf", "root b", "does not fit"},
		{"noneOf", "", "does not fit"},
	}
	for _, tt := range tests {
		t.Run(tt.condition+" "+tt.modules, func(t *testing.T) {
			t.Parallel()
			reqs, err := compattest.Dialect(t, "proposal-b").Parse(testkit.Interpreter(t), []byte(body(tt.condition)))
			if err != nil {
				t.Fatal(err)
			}
			if got := selector.Evaluate(modulesHost(tt.modules), reqs).Outcome.String(); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}

func modulesHost(modules string) *facts.Facts {
	return facts.New("linux", "amd64", facts.Features{
		Flags: map[string][]string{"kernel.enabledmodule": strings.Fields(modules)},
	})
}

// TestOcifitComparesTheFactBehindALabel: a key is a label, held against the fact behind it.
func TestOcifitComparesTheFactBehindALabel(t *testing.T) {
	t.Parallel()
	in := testkit.Interpreter(t)
	const label = "feature.node.kubernetes.io/"
	tests := []struct{ expression, want string }{
		{`{"key":"` + label + `kernel-version.major","op":"In","value":["6"]}`, "kernel.version major=6 | required"},
		{`{"key":"` + label + `kernel-version.minor","op":"Gte","value":"1"}`, "kernel.version minor >= 1 | required"},
		{`{"key":"kernel-version.full","op":"Lte","value":"6.8"}`, "kernel.version <= 6.8 | required"},
		{`{"key":"system-os_release.ID","op":"NotIn","value":["ubuntu","debian"]}`, "system.osrelease ID!=ubuntu|debian | required"},
		{`{"key":"cpu-cpuid.AVX2","op":"Exists"}`, "cpu.cpuid AVX2 | required"},
		{`{"key":"cpu-cpuid.AVX2","op":"In","value":"true"}`, "cpu.cpuid AVX2 | required"},
		{`{"key":"cpu-cpuid.AVX2","op":"NotIn","value":"true"}`, "none of: cpu.cpuid AVX2 | required"},
		{`{"key":"cpu-cpuid.AVX2","op":"DoesNotExist"}`, "cpu.cpuid without AVX2 | required"},
		{`{"key":"cpu-cpuid.AVX2","op":"Gt","value":"1"}`, "cpu-cpuid.AVX2 | required | unclear: op Gt cannot be compared with a label that is true or missing"},
		{`{"key":"pci-0302_10de.present","op":"In","value":["true"]}`, "pci.device class=0302 and vendor=10de | required"},
		{`{"key":"network-sriov.capable","op":"In","value":["true"]}`, "network.device sriov_totalvfs > 0 | required"},
		{`{"key":"kernel-config.NO_HZ","op":"In","value":["true"]}`, "kernel.config NO_HZ=y|m | required"},
		{`{"key":"cpu-model.vendor_id","op":"InRegexp","value":["^I"]}`, "cpu.model vendor_id like ^I | required"},
		{`{"key":"cpu-cstate.enabled","op":"In","value":["true"]}`, "cpu.cstate enabled=true | required"},
		{`{"key":"node.kubernetes.io/instance-type","op":"In","value":["m5"]}`, "node.kubernetes.io/instance-type | required | unclear: no compatibility spec knows this label"},
		{`{"key":"cpu-model.family","op":"Above","value":["m5"]}`, `cpu-model.family | required | unclear: the operator "Above" is not known`},
	}
	for _, tt := range tests {
		t.Run(tt.expression, func(t *testing.T) {
			t.Parallel()
			body := `{"version":"v1alpha1","compatibilities":[{"tag":"i","weight":3,"rules":[{"matchFeatures":[{"matchExpressions":[` + tt.expression + `]}]}]}]}`
			reqs, err := compattest.Dialect(t, dialect.Ocifit).Parse(in, []byte(body))
			if err != nil {
				t.Fatal(err)
			}
			set := reqs[0].Parts[0]
			if got := compattest.Describe(set.Parts[0].Parts[0].Parts[0]); got != tt.want || set.Weight != 3 || set.Key != "i" {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestOcifitModelIsUnknown(t *testing.T) {
	t.Parallel()
	body := `{"version":"v1alpha1","compatibilities":[{"rules":[{"matchModel":{"model":{"type":"t"}}}]}]}`
	if d, ok := dialect.Detect(dialect.ArtifactTypeCompatibilities, dialect.LayerTypeModel, []byte(body)); !ok || d.Name != "ocifit" {
		t.Errorf("taken for %q", d.Name)
	}
	reqs, err := compattest.Dialect(t, dialect.Ocifit).Parse(testkit.Interpreter(t), []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	if v := selector.Evaluate(compattest.HPC(), reqs); v.Outcome != selector.Unknown {
		t.Error(v.Outcome)
	}
}

// TestDialectsOfTheSameTypesAreToldByShape tells dialects that share their types by their shape.
func TestDialectsOfTheSameTypesAreToldByShape(t *testing.T) {
	t.Parallel()
	const list = `{"version":"v1alpha1","compatibilities":[{"rules":[{"matchFeatures":[{"matchExpressions":[{"key":"k","op":"Exists"}]}]}]}]}`
	const nfd = `{"version":"v1alpha1","compatibilities":[{"rules":[{"matchFeatures":[{"feature":"cpu.cpuid","matchExpressions":{"AVX":{"op":"Exists"}}}]}]}]}`
	tests := []struct{ name, artifactType, layerType, body, want string }{
		{"ocifit under NFD's type", dialect.ArtifactTypeNFD, dialect.LayerTypeNFD, list, "ocifit"},
		{"NFD", dialect.ArtifactTypeNFD, dialect.LayerTypeNFD, nfd, "nfd-v1alpha1"},
		{"ocifit", dialect.ArtifactTypeCompatibilities, dialect.LayerTypeCompatibilities, list, "ocifit"},
		{"ocifit in YAML", dialect.ArtifactTypeCompatibilities, dialect.LayerTypeCompatibilities, "compatibilities:\n- rules:\n  - matchFeatures:\n    - matchExpressions:\n      - {key: k, op: Exists}\n", "ocifit"},
		{"Proposal J", dialect.ArtifactTypeCompatibilities, dialect.LayerTypeCompatibilities, `{"compatibilities":[{"a":"b"}]}`, "proposal-j"},
		{"broken under J's type", dialect.ArtifactTypeCompatibilities, dialect.LayerTypeCompatibilities, `{`, "proposal-j"},
		{"Proposal B", dialect.ArtifactType, dialect.LayerTypeOutline, `{"spec":{}}`, "proposal-b"},
		{"Proposal H", dialect.ArtifactType, dialect.LayerTypeOutline, `{"compatibilities":[]}`, "proposal-h"},
		{"Proposal F", dialect.ArtifactType, dialect.LayerTypeOutline, `{"compatibilities":{}}`, "proposal-f"},
		{"compspec", dialect.ArtifactTypeCompspecOrg, "application/json", `{}`, "compspec"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if d, _ := dialect.Detect(tt.artifactType, tt.layerType, []byte(tt.body)); d.Name != tt.want {
				t.Errorf("taken for %q", d.Name)
			}
		})
	}
}

// TestBestScoreOfTheSetsThatHoldIsTaken: of the sets that hold the best score counts, also where its
// key is misspelt.
func TestBestScoreOfTheSetsThatHoldIsTaken(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, body string
		score      int
		want       selector.Outcome
	}{
		{"best of two", `[{"oci.cpu.vendor":"GenuineIntel","compatibility-score":50},{"oci.cpu.vendor":"Intel","oci.compatibility-score":100}]`, 100, selector.Fits},
		{"only what holds", `[{"oci.cpu.vendor":"Intel","compatibility-score":50},{"oci.cpu.vendor":"AMD","oci.compatibility-score":100}]`, 50, selector.Fits},
		{"no score", `[{"oci.cpu.vendor":"Intel","description":"any Intel"}]`, 0, selector.Fits},
		{"none holds", `[{"oci.cpu.vendor":"AMD"}]`, 0, selector.Unfit},
		{"community labels", `[{"org.supercontainers.mpi.implementation":"openmpi","io.archspec.cpu.target":"x86_64_v4","feature.node.kubernetes.io/cpu-cpuid.AVX2":"true"}]`, 0, selector.Fits},
		{"an unknown label", `[{"oci.colour":"red"}]`, 0, selector.Unknown},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			reqs, err := compattest.Dialect(t, "proposal-h").Parse(testkit.Interpreter(t), []byte(`{"compatibilities":`+tt.body+`}`))
			if err != nil {
				t.Fatal(err)
			}
			if v := selector.Evaluate(compattest.HPC(), reqs); v.Outcome != tt.want || v.Score != tt.score {
				t.Errorf("%s with score %d: %s", v.Outcome, v.Score, v.Reason())
			}
		})
	}
}
