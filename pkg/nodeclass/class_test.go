package nodeclass_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/internal/testkit/compattest"
	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/nodeclass"
)

// changed returns facts with one change.
func changed(f *facts.Facts, how func(*facts.Features)) *facts.Facts {
	features := f.Features()
	how(&features)
	return facts.New(f.OS(), f.Arch(), features)
}

// Ten thousand nodes of twelve machine types are twelve classes, plus those that really
// differ.
func TestNodesOfAMachineTypeAreOneClass(t *testing.T) {
	t.Parallel()
	types := compattest.MachineTypes(t)
	r := rand.New(rand.NewPCG(1, 2))
	nodes := 10_000
	if testing.Short() {
		nodes = 500
	}
	classes := map[string]int{}
	for i := range nodes {
		kind := i % len(types)
		class := nodeclass.Of(compattest.Noisy(r, types[kind], fmt.Sprint(i)), nil)
		if known, ok := classes[class.ID]; ok && known != kind {
			t.Fatalf("types %d and %d are both of class %s", known, kind, class.ID)
		}
		classes[class.ID] = kind
	}
	if len(classes) != 12 {
		t.Errorf("%d classes, want 12", len(classes))
	}
	different := map[string]*facts.Facts{
		"another driver": changed(types[3], func(f *facts.Features) { f.Attributes["gpu.nvidia"]["driver_version"] = "999.1" }),
		"another kernel": changed(types[3], func(f *facts.Features) { f.Attributes["kernel.version"]["full"] = "9.9" }),
		"a flag less":    changed(types[3], func(f *facts.Features) { f.Flags["cpu.cpuid"] = f.Flags["cpu.cpuid"][1:] }),
		"another card": changed(types[4], func(f *facts.Features) {
			f.Instances["pci.device"] = append(f.Instances["pci.device"], map[string]string{"class": "0302", "vendor": "10de", "device": "2331"})
		}),
		"flags that cannot be read": changed(types[3], func(f *facts.Features) {
			delete(f.Flags, "cpu.cpuid")
			f.Unknown["cpu.cpuid"] = "permission denied"
		}),
	}
	for what, node := range different {
		class := nodeclass.Of(compattest.Noisy(r, node, what), nil)
		if _, known := classes[class.ID]; known {
			t.Errorf("%s: of class %s, as others", what, class.ID)
		}
		classes[class.ID] = -1
	}
}

// A class says what its dimensions have, and of all else that it is unknown: never that
// it is absent.
func TestAClassAnswersOnlyWhatItHas(t *testing.T) {
	t.Parallel()
	features := compattest.HPC().Features()
	features.Instances["network.device"] = []map[string]string{{"name": "ib0", "operstate": "up"}}
	features.Unknown["kernel.kvm"] = "permission denied"
	node := facts.New("linux", "amd64", features)
	for name, tt := range map[string]struct {
		asked                nodeclass.Dimensions
		set, element         string
		without, with        facts.State
		other                string // of the same set, that is not asked for
		otherWithout, anyway facts.State
	}{
		"a module that is loaded":    {nodeclass.Dimensions{"kernel.loadedmodule": {"nvidia"}}, "kernel.loadedmodule", "nvidia", facts.Unknown, facts.Present, "x", facts.Unknown, facts.Unknown},
		"a module that is not":       {nodeclass.Dimensions{"kernel.loadedmodule": {"amdgpu"}}, "kernel.loadedmodule", "amdgpu", facts.Unknown, facts.Absent, "x", facts.Unknown, facts.Unknown},
		"all modules":                {nodeclass.Dimensions{"kernel.loadedmodule": {"*"}}, "kernel.loadedmodule", "nvidia", facts.Unknown, facts.Present, "x", facts.Unknown, facts.Absent},
		"a kernel option":            {nodeclass.Dimensions{"kernel.config": {"PREEMPT"}}, "kernel.config", "PREEMPT", facts.Unknown, facts.Present, "MODULES", facts.Unknown, facts.Unknown},
		"what is unknown":            {nodeclass.Dimensions{"kernel.kvm": {"enabled"}}, "kernel.kvm", "enabled", facts.Unknown, facts.Unknown, "x", facts.Unknown, facts.Unknown},
		"a CPU flag":                 {nil, "cpu.cpuid", "AVX2", facts.Present, facts.Present, "SVE", facts.Absent, facts.Absent},
		"a part of the base":         {nodeclass.Dimensions{"system.osrelease": {"BUILD_ID"}}, "system.osrelease", "BUILD_ID", facts.Unknown, facts.Absent, "ID", facts.Present, facts.Present},
		"an exception from the base": {nodeclass.Dimensions{"cpu.rdt": {"RDTL3CA_NUM_CLOSID"}}, "cpu.rdt", "RDTL3CA_NUM_CLOSID", facts.Unknown, facts.Unknown, "RDTMON", facts.Unknown, facts.Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			without, with := nodeclass.Project(node, nil), nodeclass.Project(node, tt.asked)
			for _, got := range []struct {
				what        string
				state, want facts.State
			}{
				{"without", without.Lookup(tt.set, tt.element).State, tt.without}, {"with", with.Lookup(tt.set, tt.element).State, tt.with},
				{"another without", without.Lookup(tt.set, tt.other).State, tt.otherWithout}, {"another with", with.Lookup(tt.set, tt.other).State, tt.anyway},
			} {
				if got.state != got.want {
					t.Errorf("%s: %s, want %s", got.what, got.state, got.want)
				}
			}
		})
	}
	class := nodeclass.Project(node, nodeclass.Dimensions{"network.device": {"operstate"}})
	list, known := class.Instances("network.device")
	if known.State != facts.Present || len(list) != 1 || list[0]["name"] != "" || list[0]["operstate"] != "up" {
		t.Errorf("devices %v, %+v", list, known)
	}
	if class.MissingAttribute("network.device", "name").State != facts.Unknown || class.MissingAttribute("network.device", "operstate").State != facts.Absent {
		t.Error("attributes that are left out are not unknown")
	}
	if _, known := class.Instances("storage.block"); known.State != facts.Unknown {
		t.Errorf("disks are %s", known.State)
	}
}

func TestDimensionsAreWhatImagesAskForBeyondTheBase(t *testing.T) {
	t.Parallel()
	exists := func(set string, elements ...string) compat.Requirement {
		r := compat.Requirement{Set: set}
		for _, e := range elements {
			r.Terms = append(r.Terms, compat.Term{Element: e, Op: compat.Exists})
		}
		return r
	}
	named := compat.Requirement{Set: "kernel.enabledmodule", Name: &compat.Term{Op: compat.InRegexp, Values: []string{"^mlx"}}}
	var many []compat.Requirement
	for i := range 300 {
		many = append(many, exists("kernel.config", fmt.Sprint(i)))
	}
	may := exists("cpu.cpuid", "AVX2")
	may.May = []compat.May{{Set: "kernel.cmdline", Terms: []compat.Term{{Element: "quiet"}}}}
	may.Newer = &compat.Newer{Set: "site.driver", Element: "version"}
	for name, tt := range map[string]struct {
		reqs []compat.Requirement
		want string
	}{
		"of the base":   {[]compat.Requirement{exists("cpu.cpuid", "AVX2"), exists("pci.device", "vendor", "class"), exists("system.osrelease", "ID")}, "map[]"},
		"parts of sets": {[]compat.Requirement{exists("pci.device", "vendor", "subsystem_vendor"), exists("system.osrelease", "BUILD_ID")}, "map[pci.device:[subsystem_vendor] system.osrelease:[BUILD_ID]]"},
		"sorted":        {[]compat.Requirement{exists("kernel.loadedmodule", "b", "a", "b")}, "map[kernel.loadedmodule:[a b]]"},
		"nested":        {[]compat.Requirement{{Combine: compat.AnyOf, Parts: []compat.Requirement{exists("memory.numa", "is_numa")}}}, "map[memory.numa:[is_numa]]"},
		"by name":       {[]compat.Requirement{exists("kernel.enabledmodule", "a"), named, exists("kernel.enabledmodule", "b")}, "map[kernel.enabledmodule:[*]]"},
		"many":          {many, "map[kernel.config:[*]]"},
		"what may do":   {[]compat.Requirement{may}, "map[kernel.cmdline:[quiet] site.driver:[version]]"},
		"own rules":     {[]compat.Requirement{exists("rule.matched", "x")}, "map[]"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := nodeclass.Asked(tt.reqs)
			if got := fmt.Sprint(d); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			merged := nodeclass.Dimensions{"z.z": {"a"}}
			merged.Merge(d)
			if !merged.Has(d) || d.Has(merged) || len(d) > 0 && (nodeclass.Dimensions{}).Has(d) {
				t.Errorf("%v and %v do not compare", merged, d)
			}
		})
	}
}

// A class is what its file says, whoever wrote it.
func TestAClassSurvivesJSON(t *testing.T) {
	t.Parallel()
	for i, kind := range compattest.MachineTypes(t) {
		class := nodeclass.Of(kind, nodeclass.Dimensions{"kernel.loadedmodule": {"nvidia"}, "network.device": {"operstate"}, "kernel.config": {"*"}})
		text, err := json.Marshal(class)
		if err != nil {
			t.Fatal(err)
		}
		var read nodeclass.Class
		if err := json.Unmarshal(text, &read); err != nil || read.ID != class.ID || len(class.ID) != 12 {
			t.Errorf("type %d: read class %q, want %q: %v", i, read.ID, class.ID, err)
		}
		if small, err := json.Marshal(nodeclass.Of(kind, nil)); err != nil || len(small) > 8<<10 {
			t.Errorf("type %d: the class has %d bytes, %v", i, len(small), err)
		}
		forged := strings.Replace(string(text), `"arch":"`, `"arch":"x`, 1)
		if err := json.Unmarshal([]byte(forged), &read); err == nil || !strings.Contains(err.Error(), "its facts are those of class") {
			t.Errorf("type %d: facts that were changed: %v", i, err)
		}
	}
}

func BenchmarkOf(b *testing.B) {
	node := compattest.Noisy(rand.New(rand.NewPCG(1, 2)), compattest.HPC(), "a")
	for b.Loop() {
		nodeclass.Of(node, nodeclass.Dimensions{"kernel.loadedmodule": {"nvidia"}})
	}
}
