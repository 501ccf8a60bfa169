package hostlist_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/pkg/placement/hostlist"
)

// The examples of RFC 29, and what is not a host list.
func TestHostListsAreReadAsTheRFCSays(t *testing.T) {
	t.Parallel()
	for list, want := range map[string]string{
		"":                  "",
		"foox,fooy,fooz":    "foox fooy fooz",
		"[1-3,5-6]":         "1 2 3 5 6",
		"foo[1-5]":          "foo1 foo2 foo3 foo4 foo5",
		"foo[0-2]-eth2":     "foo0-eth2 foo1-eth2 foo2-eth2",
		"foo1,foo1,foo1":    "foo1 foo1 foo1",
		"[00-02]":           "00 01 02",
		"[00-2]":            "00 01 02",
		"foo[1,1,2,1]":      "foo1 foo1 foo2 foo1",
		"n[005,4,11-13]":    "n005 n004 n011 n012 n013",
		"a,b[1-2],c[08-10]": "a b1 b2 c08 c09 c10",
	} {
		got, err := hostlist.Parse(list)
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%q: %q, %v, want %q", list, got, err, want)
		}
	}
	for _, list := range []string{
		"a[", "a]", "a[1-2", "a[[1]]", "a[x]", "a[2-1]", "a[1-]", "a[]", "a b", "a[1][2]", ",a", "a,,b", "ä",
		"a[0-99999999]", "a[0-999999],b[0-999999]", "a[1234567890123456789]",
	} {
		if got, err := hostlist.Parse(list); err == nil {
			t.Errorf("%q is read as %d names", list, len(got))
		}
	}
}

func TestNamesAreWrittenShort(t *testing.T) {
	t.Parallel()
	for names, want := range map[string]string{
		"":                         "",
		"n1":                       "n1",
		"n2 n1 n3 n5 n1":           "n[1-3,5]",
		"n9 n10 n11":               "n[9-11]",
		"n08 n09 n10":              "n[08-10]",
		"login n1 gpu-a n2":        "gpu-a,login,n[1-2]",
		"n n1":                     "n,n1",
		"n1.site n2.site":          "n1.site,n2.site",
		"a1b1 a1b2 a2b1":           "a1b[1-2],a2b1",
		"n00 n0 n1 n01":            "n[0-1],n[00-01]",
		"x1234567890123456789012x": "x1234567890123456789012x",
	} {
		if got := hostlist.Format(strings.Fields(names)); got != want {
			t.Errorf("%q is written %q, want %q", names, got, want)
		}
	}
}

// What is written is read as the same names.
func TestHostListsSurviveTheRoundTrip(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		names := map[string]bool{}
		for range r.IntN(40) {
			prefix := []string{"n", "node-", "gpu", "", "r1c"}[r.IntN(5)]
			names[fmt.Sprintf("%s%0*d", prefix, r.IntN(4), r.IntN(30))] = true
		}
		var want []string
		for name := range names {
			want = append(want, name)
		}
		list := hostlist.Format(want)
		got, err := hostlist.Parse(list)
		if err != nil {
			t.Fatalf("%q: %v", list, err)
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Fatalf("%q\ngot  %q\nwant %q", list, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"a[1-3]", "a[01,2]x,b", "[", "a[0-9999999999]", ","} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, list string) {
		names, err := hostlist.Parse(list)
		if err == nil && len(names) > 1<<21 {
			t.Fatalf("%d names", len(names))
		}
	})
}
