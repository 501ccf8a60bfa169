package operator

import (
	"strings"
	"testing"

	"github.com/imagefit/imagefit/pkg/facts"
)

func FuzzFile(f *testing.F) {
	f.Add("version = 1\nabsent = [\"cpu.cpuid/AVX512F\"]\n[flags]\n\"cpu.cpuid\" = [\"MAGIC\"]\n[attributes.\"mpi.host\"]\nversion = 4.10\ngpu = true\n")
	f.Add("version = 1\nabsent = [\"a.b\", \"a.b/c\"]\n[[instances.\"a.b\"]]\nname = 1\n")
	f.Fuzz(func(t *testing.T, text string) {
		file, err := parse([]byte(text))
		if err != nil {
			if !strings.Contains(err.Error(), "row ") {
				t.Errorf("error without a row: %v", err)
			}
			return
		}
		features := facts.NewFeatures()
		features.Unknown["cpu.cpuid"] = "no"
		overlay{&features, "/a"}.lay(file)
		overlay{&features, "/b"}.lay(file)
		known := facts.New("linux", "amd64", features)
		for set, flags := range file.Flags {
			for _, flag := range flags {
				if got := known.Lookup(set, strings.ToValidUTF8(flag, "\uFFFD")); got.State != facts.Present {
					t.Errorf("%s %q is %+v", set, flag, got)
				}
			}
		}
		known.Labels()
	})
}
