package operator

import (
	"maps"
	"strings"
	"testing"
	"time"
)

func TestFeatureFilesAreReadAsByNFD(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		name, in         string
		features, labels map[string]string
		problem          string
	}{
		{"keys and values", "a\nb=1\nc=x=y\n  d = z  \n", map[string]string{"a": "true", "b": "1", "c": "x=y", "d" + " ": " z"}, nil, ""},
		{"comments and empty lines", "# a=1\n\n#+no-label\n#\nb\n", map[string]string{"b": "true"}, nil, ""},
		{"no newline at the end", "a=1", map[string]string{"a": "1"}, nil, ""},
		{"windows lines", "a=1\r\nb\r\n", map[string]string{"a": "1", "b": "true"}, nil, ""},
		{"only a label", "# +no-feature\na=1\nb=2\n", map[string]string{"b": "2"}, map[string]string{"a": "1", "b": "2"}, ""},
		{"only a feature", "# +no-label\na=1\nb=2\n", map[string]string{"a": "1", "b": "2"}, map[string]string{"b": "2"}, ""},
		{"a label taken back", "a=1\n# +no-label\na=2\n", map[string]string{"a": "2"}, map[string]string{}, ""},
		{"expired", "# +expiry-time=2026-11-01T11:59:59Z\na=1\n", map[string]string{}, nil, ""},
		{"expires in another zone", "# +expiry-time=2026-11-01T12:30:00+02:00\na=1\n", map[string]string{}, nil, ""},
		{"not yet expired", "# +expiry-time= 2026-11-01T12:00:01Z\na=1\n", map[string]string{"a": "1"}, nil, ""},
		{"several times", "# +expiry-time=2012-01-01T00:00:00Z\na\n# +expiry-time=2080-01-01T00:00:00Z\nb\n# +expiry-time=2002-01-01T00:00:00Z\nc\n",
			map[string]string{"b": "true"}, nil, ""},
		{"a directive survives an expired line", "# +no-label\n# +expiry-time=2012-01-01T00:00:00Z\na\n# +expiry-time=2080-01-01T00:00:00Z\nb\n",
			map[string]string{"b": "true"}, map[string]string{}, ""},
		{"a time that cannot be parsed", "a\n# +expiry-time=tomorrow\nb\n", map[string]string{"a": "true", "b": "true"}, nil, `row 2: expiry-time "tomorrow"`},
		{"no time at all", "# +expiry-time\nb\n", map[string]string{"b": "true"}, nil, `row 1: expiry-time ""`},
		{"another directive", "# +no-labels\na\n", map[string]string{"a": "true"}, nil, `row 1: unknown directive "no-labels"`},
		{"no key", "=1\na\n", map[string]string{"a": "true"}, nil, `row 1: "=1" has no key`},
	}
	for _, tt := range tests {
		got := parseFeatures([]byte(tt.in), now)
		labels := tt.labels
		if labels == nil {
			labels = tt.features
		}
		if !maps.Equal(got.features, tt.features) || !maps.Equal(got.labels, labels) {
			t.Errorf("%s: features %v, labels %v; want %v, %v", tt.name, got.features, got.labels, tt.features, labels)
		}
		if problems := strings.Join(got.problems, "|"); (tt.problem == "") != (problems == "") || !strings.Contains(problems, tt.problem) {
			t.Errorf("%s: problems %q, want %q", tt.name, problems, tt.problem)
		}
	}
}

func FuzzFeatures(f *testing.F) {
	f.Add("# +no-feature\na=1\n# +expiry-time=2080-01-01T00:00:00Z\nb")
	f.Fuzz(func(t *testing.T, text string) {
		found := parseFeatures([]byte(text), time.Unix(1<<30, 0))
		lines := strings.Count(text, "\n") + 1
		if len(found.features) > lines || len(found.labels) > lines || len(found.problems) > lines {
			t.Errorf("%d features, %d labels, %d problems of %d lines", len(found.features), len(found.labels), len(found.problems), lines)
		}
		if _, ok := found.features[""]; ok {
			t.Error("a feature without a name")
		}
	})
}
