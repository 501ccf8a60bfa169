package operator_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/internal/testkit/hosttest"
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/hostfacts"
	"github.com/imagefit/imagefit/pkg/hostfacts/operator"
)

const (
	cpuinfo       = "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 143\nflags\t\t: fpu lm "
	featuresLimit = 64 << 10
)

func rootOf(t *testing.T, files map[string]string) hostfacts.Root {
	t.Helper()
	return hostfacts.NewRoot(hosttest.Tree(t, files))
}

func collect(t *testing.T, files map[string]string) *facts.Facts {
	t.Helper()
	return hostfacts.Collect(t.Context(), rootOf(t, files))
}

const siteFile = `version = 1
absent = ["cpu.cpuid/AVX512F", "kernel.version/revision"]
[flags]
"site.licences" = ["matlab", "ansys"]
"cpu.cpuid" = ["MAGIC"]
[attributes."mpi.host"]
implementation = "openmpi"
version = 4.10
ranks = 64
gpu_aware = true
[attributes."kernel.version"]
minor = "2"
[attributes."cpu.model"]
hypervisor = "kvm"
[[instances."site.fabric"]]
name = "hsn0"
speed = "200000"
`

func TestFilesAddCorrectAndRemoveFacts(t *testing.T) {
	t.Parallel()
	known := collect(t, map[string]string{
		"proc/sys/kernel/osrelease":    "6.1.5\n",
		"proc/cpuinfo":                 cpuinfo + "hypervisor sse2 avx512f avx512bw\n",
		operator.Dir + "/10-site.toml": siteFile,
		operator.Dir + "/20-over.toml": "version = 1\n[attributes.\"mpi.host\"]\nversion = \"5.0.1\"\n",
		operator.Dir + "/.hidden.toml": "nonsense",
		operator.Dir + "/README":       "nonsense",
	})
	const first, second = "/" + operator.Dir + "/10-site.toml", "/" + operator.Dir + "/20-over.toml"
	for _, tt := range []struct {
		set, element string
		want         facts.State
		value        string
		origin       string
	}{
		{"site.licences", "matlab", facts.Present, "", first},
		{"site.licences", "fluent", facts.Absent, "", first},
		{"cpu.cpuid", "MAGIC", facts.Present, "", first},
		{"cpu.cpuid", "AVX512F", facts.Absent, "", first},
		{"cpu.cpuid", "AVX512BW", facts.Present, "", "/proc/cpuinfo"},
		{"mpi.host", "implementation", facts.Present, "openmpi", first},
		{"mpi.host", "version", facts.Present, "5.0.1", second},
		{"mpi.host", "ranks", facts.Present, "64", first},
		{"mpi.host", "gpu_aware", facts.Present, "true", first},
		{"kernel.version", "minor", facts.Present, "2", first},
		{"kernel.version", "revision", facts.Absent, "", first},
		{"cpu.model", "hypervisor", facts.Present, "kvm", first},
		{"kernel.version", "major", facts.Present, "6", "/proc/sys/kernel/osrelease"},
	} {
		got := known.Lookup(tt.set, tt.element)
		if got.State != tt.want || got.Value != tt.value {
			t.Errorf("%s %s is %+v, want %v %q", tt.set, tt.element, got, tt.want, tt.value)
		}
		if origin := known.Origin(tt.set, tt.element); origin != tt.origin {
			t.Errorf("%s %s is from %q, want %q", tt.set, tt.element, origin, tt.origin)
		}
	}
	if cause, unknown := known.Unknown()["cpu.model/hypervisor"]; unknown {
		t.Errorf("the hypervisor is still unknown: %s", cause)
	}
	if list, _ := known.Instances("site.fabric"); !reflect.DeepEqual(list, []map[string]string{{"name": "hsn0", "speed": "200000"}}) {
		t.Errorf("site.fabric is %v", list)
	}
	if problems := known.Problems(); len(problems) != 0 {
		t.Errorf("problems %q", problems)
	}
}

func TestFilesSpeakOfSetsThatCouldNotBeRead(t *testing.T) {
	t.Parallel()
	known := collect(t, map[string]string{
		operator.Dir + "/10.toml": `version = 1
absent = ["cpu.cpuid/AVX512F", "usb.device", "site.nothing"]
[flags]
"cpu.cpuid" = ["AVX2"]
[attributes."memory.numa"]
is_numa = true
[[instances."pci.device"]]
class = "0302"
vendor = "10de"
`})
	for _, tt := range []struct {
		set, element string
		want         facts.State
	}{
		{"cpu.cpuid", "AVX2", facts.Present}, {"cpu.cpuid", "AVX512F", facts.Absent}, {"cpu.cpuid", "SSE3", facts.Unknown},
		{"memory.numa", "is_numa", facts.Present}, {"memory.numa", "node_count", facts.Unknown}, {"site.nothing", "x", facts.Absent},
	} {
		if got := known.Lookup(tt.set, tt.element); got.State != tt.want {
			t.Errorf("%s %s is %+v, want %v", tt.set, tt.element, got, tt.want)
		}
	}
	for set, want := range map[string]int{"pci.device": 1, "usb.device": 0} {
		if list, fact := known.Instances(set); fact.State != facts.Present || len(list) != want {
			t.Errorf("%s is %v, %+v; want %d instances", set, list, fact, want)
		}
	}
	data, err := json.Marshal(known)
	if err != nil {
		t.Fatal(err)
	}
	again, err := hostfacts.Parse(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(again.Features(), known.Features()) || again.Fingerprint() != known.Fingerprint() {
		t.Errorf("came back different: %v, was %v", again.Features(), known.Features())
	}
}

func TestInstancesOfTheSameNameAreReplaced(t *testing.T) {
	t.Parallel()
	files := map[string]string{
		"sys/class/net/eth0/device/x": "", "sys/class/net/eth0/mtu": "1500\n", "sys/class/net/eth1/device/x": "", "sys/class/net/eth1/mtu": "1500\n",
		operator.Dir + "/10.toml": "version = 1\n[[instances.\"network.device\"]]\nname = \"eth1\"\nmtu = 9000\n[[instances.\"network.device\"]]\nname = \"hsn0\"\n",
	}
	list, _ := collect(t, files).Instances("network.device")
	want := []map[string]string{{"name": "eth0", "mtu": "1500"}, {"name": "eth1", "mtu": "9000"}, {"name": "hsn0"}}
	if !reflect.DeepEqual(list, want) {
		t.Errorf("network.device is %v, want %v", list, want)
	}
	files[operator.Dir+"/20.toml"] = "version = 1\nabsent = [\"network.device\"]\n[[instances.\"network.device\"]]\nname = \"only\"\n"
	list, _ = collect(t, files).Instances("network.device")
	if want := []map[string]string{{"name": "only"}}; !reflect.DeepEqual(list, want) {
		t.Errorf("network.device is %v, want %v", list, want)
	}
}

func TestBadFileIsReportedAndLeftOut(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ in, want string }{
		"no version":           {"[flags]\n", "row 1, column 1: the file must begin with version = 1"},
		"another version":      {"# facts\nversion = 2\n", "row 2, column 1: version 2 is not supported, only 1 is"},
		"no TOML":              {"version = 1\nx = \n", "row 2, column 5: unexpected character"},
		"unknown table":        {"version = 1\n[flag]\n", "row 2, column 2: unknown key flag (is flags meant?)"},
		"set without quotes":   {"version = 1\n[flags]\nsite.licences = [\"a\"]\n", `row 3, column 6, key flags.site.licences: cannot decode TOML table into string (the name of a set is one quoted key`},
		"table without quotes": {"version = 1\n[attributes.mpi.host]\na = \"b\"\n", `row 3, column 1: unknown key attributes.mpi.host.a (the name of a set is one quoted key`},
		"flags as a string":    {"version = 1\n[flags]\n\"a.b\" = \"c\"\n", `row 3, column 9, key flags."a.b": cannot decode TOML string into a list of strings`},
		"a list as a value":    {"version = 1\n[attributes.\"a.b\"]\nc = [1]\n", `row 3, column 5, key attributes."a.b".c: cannot decode TOML array into a string, number or boolean`},
		"no table of a set":    {"version = 1\n[attributes]\nc = \"d\"\n", "row 3, column 5, key attributes.c: cannot decode TOML string into a table of values"},
		"set without family":   {"version = 1\n\n[attributes.\"mpi\"]\nc = \"d\"\n", `row 3, column 2: "mpi" is not the name of a set`},
		"set of capitals":      {"version = 1\n[flags]\n\"Site.Licences\" = []\n", `row 3, column 1: "Site.Licences" is not the name of a set`},
		"element without name": {"version = 1\n[flags]\n\"a.b\" = [\"\"]\n", "row 3, column 1: an element of a.b has no name"},
		"absent without set":   {"version = 1\nabsent = [\"AVX2\"]\n", `row 2, column 1: "AVX2" is not the name of a set`},
		"absent half":          {"version = 1\nabsent = [\"cpu.cpuid/\"]\n", `row 2, column 1: an element of cpu.cpuid has no name`},
		"too large":            {"version = 1\n" + strings.Repeat("#\n", (256<<10)/2), "larger than 262144 bytes"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := rootOf(t, map[string]string{
				operator.Dir + "/10-bad.toml":  tt.in,
				operator.Dir + "/20-good.toml": "version = 1\n[flags]\n\"site.licences\" = [\"matlab\"]\n",
			})
			known := hostfacts.Collect(t.Context(), root)
			problems := known.Problems()
			if len(problems) != 1 || !strings.Contains(problems[0], tt.want) || !strings.Contains(problems[0], root.Path(operator.Dir+"/10-bad.toml")) {
				t.Errorf("problems %q, want one that names the file, with %q", problems, tt.want)
			}
			if got := known.Lookup("site.licences", "matlab"); got.State != facts.Present {
				t.Errorf("the good file's fact is %+v", got)
			}
		})
	}
}

func TestFeatureFilesOfNFDAreRead(t *testing.T) {
	t.Parallel()
	root := rootOf(t, map[string]string{
		operator.FeaturesDir + "/10-site":                    "vendor.io/fabric=ib\nvendor.io/rack=1\n",
		operator.FeaturesDir + "/20-site":                    "vendor.io/rack=2\n",
		operator.FeaturesDir + "/.30-half":                   "hidden=3\n",
		operator.FeaturesDir + "/40-dir/file":                "vendor.io/rack=4\n",
		operator.FeaturesDir + "/50-link":                    "-> ../60-elsewhere",
		"etc/kubernetes/node-feature-discovery/60-elsewhere": "linked\n",
	})
	known := hostfacts.Collect(t.Context(), root)
	for element, want := range map[string]string{"vendor.io/fabric": "ib", "vendor.io/rack": "2", "linked": "true"} {
		for _, set := range []string{"local.label", "local.feature"} {
			if got := known.Lookup(set, element); got.State != facts.Present || got.Value != want {
				t.Errorf("%s %s is %+v, want %s", set, element, got, want)
			}
		}
	}
	for _, element := range []string{"other", "hidden"} {
		if got := known.Lookup("local.label", element); got.State != facts.Absent {
			t.Errorf("%s is %+v", element, got)
		}
	}
	if got, want := known.Origin("local.label", "vendor.io/rack"), "/"+operator.FeaturesDir+"/20-site"; got != want {
		t.Errorf("origin %q, want %q", got, want)
	}
	if problems := known.Problems(); len(problems) > 0 {
		t.Errorf("problems %q", problems)
	}
}

func TestUnreadableFeatureFileMakesTheRestUnknown(t *testing.T) {
	t.Parallel()
	root := rootOf(t, map[string]string{
		operator.FeaturesDir + "/10-site": "a=1\n# +what\n",
		operator.FeaturesDir + "/20-big":  "b=1\n" + strings.Repeat("# filler\n", featuresLimit/8),
		operator.FeaturesDir + "/30-gone": "-> nowhere",
	})
	known := hostfacts.Collect(t.Context(), root)
	if got := known.Lookup("local.label", "a"); got.State != facts.Present {
		t.Errorf("a is %+v", got)
	}
	if got := known.Lookup("local.label", "b"); got.State != facts.Unknown || got.Cause == "" {
		t.Errorf("b is %+v", got)
	}
	problems := strings.Join(known.Problems(), "\n")
	for _, want := range []string{
		root.Path(operator.FeaturesDir+"/10-site") + `: row 2: unknown directive "what"`,
		fmt.Sprintf("larger than %d bytes reading %s", featuresLimit, root.Path(operator.FeaturesDir+"/20-big")),
		"no such file or directory reading " + root.Path(operator.FeaturesDir+"/30-gone"),
	} {
		if !strings.Contains(problems, want) {
			t.Errorf("problems %q lack %q", problems, want)
		}
	}
	none := collect(t, map[string]string{"etc/hostname": "a\n"})
	if got := none.Lookup("local.label", "a"); got.State != facts.Absent {
		t.Errorf("without feature files, a is %+v", got)
	}
	blind := collect(t, nil)
	if got := blind.Lookup("local.label", "a"); got.State != facts.Unknown {
		t.Errorf("without etc, a is %+v", got)
	}
}
