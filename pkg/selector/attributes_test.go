package selector_test

import (
	"strings"
	"testing"

	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/selector"
)

// A device whose attribute was left out may be the one that is required.
func TestAnAttributeThatIsLeftOutIsUnknown(t *testing.T) {
	t.Parallel()
	node := facts.New("linux", "amd64", facts.Features{
		Instances: map[string][]map[string]string{"pci.device": {{"vendor": "8086"}, {"vendor": "10de", "class": "0300"}}},
		Unknown:   map[string]string{"pci.device/*": "classes leave it out"},
		Absent:    map[string][]string{"pci.device": {"vendor", "class"}},
	})
	is := func(attribute, value string) compat.Term {
		return compat.Term{Element: attribute, Op: compat.In, Values: []string{value}}
	}
	for name, tt := range map[string]struct {
		terms []compat.Term
		want  selector.Outcome
	}{
		"another vendor":                  {[]compat.Term{is("vendor", "1002"), is("device", "1")}, selector.Unfit},
		"the vendor and what is left out": {[]compat.Term{is("vendor", "10de"), is("device", "1")}, selector.Unknown},
		"the vendor":                      {[]compat.Term{is("vendor", "10de")}, selector.Fits},
		"the class":                       {[]compat.Term{is("class", "0200")}, selector.Unfit},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := selector.Evaluate(node, []compat.Requirement{{Set: "pci.device", Terms: tt.terms}})
			if v.Outcome != tt.want || (tt.want == selector.Unknown) != strings.Contains(v.Reason(), "unknown: classes leave it out") {
				t.Errorf("%s (%s), want %s", v.Outcome, v.Reason(), tt.want)
			}
		})
	}
}
