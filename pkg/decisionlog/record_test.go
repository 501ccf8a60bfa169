package decisionlog

import (
	"bytes"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/imagefit/imagefit/pkg/policy"
)

func TestBoundedCutsTextsAndRedactsCredentials(t *testing.T) {
	t.Parallel()
	const secret = "hunter2"
	for name, text := range map[string]string{
		"a query":               `failed open: https://cdn.example/blob?X-Amz-Signature=` + secret + `: 403 Forbidden`,
		"a user":                `Get "https://user:` + secret + `@registry.example/v2/": EOF`,
		"far behind":            strings.Repeat("x ", 2000) + "https://user:" + secret + "@host/",
		"at the bound":          strings.Repeat("x", maxText-20) + " https://user:" + secret + "@host/",
		"moved to the front":    "https://host/?" + strings.Repeat("x", maxLine-60) + " https://user:" + secret + strings.Repeat("y", 90) + "@host/",
		"cut in the very piece": "https://host/?" + secret + strings.Repeat("x", 2*maxLine),
	} {
		for field, r := range map[string]Record{
			"error": {Error: text}, "reason": {Reason: text}, "reference": {Reference: text},
			"case": {Cases: []policy.Case{{Key: "registry_error", Answer: strings.Repeat("y", maxText) + " " + text}}},
		} {
			bounded := r.Bounded()
			all := bounded.Error + bounded.Reason + bounded.Reference + bounded.CasesText()
			if strings.Contains(all, secret) {
				t.Errorf("%s in %s: %.200s", name, field, all)
			}
			if len(all) > maxText+50 {
				t.Errorf("%s in %s has %d bytes", name, field, len(all))
			}
		}
	}
	kept := Record{
		Error: `Get "https://registry.example/v2/app/manifests/sha256:00": EOF`, Reason: "why? who knows",
		Reference: "registry.example/app:1@sha256:00", Cases: []policy.Case{{Key: "a", Answer: "b"}},
	}
	if got := kept.Bounded(); got.Error != kept.Error || got.Reason != kept.Reason || got.Reference != kept.Reference || got.CasesText() != "a=b" {
		t.Errorf("harmless texts changed: %+v", got)
	}
	cases := []policy.Case{{Key: strings.Repeat("ä", maxText)}}
	r := Record{Reason: strings.Repeat("ä", maxText), Cases: append(cases, slices.Repeat(cases, 100)...)}
	got := r.Bounded()
	if !utf8.ValidString(got.Reason) || len(got.Cases) != maxCases || len(got.Cases[0].Key) > maxText+4 {
		t.Errorf("cut to %d cases of %d bytes: %s", len(got.Cases), len(got.Cases[0].Key), got.Reason[maxText-4:])
	}
	many := slices.Repeat([]Entry{{Name: strings.Repeat("ä", maxText), Verdict: "https://user:" + secret + "@host/ " + strings.Repeat("x", maxText), Rank: 1}}, 1000)
	got = (Record{Entries: many}).Bounded()
	if e := got.Entries[0]; len(got.Entries) != maxEntries || len(e.Name)+len(e.Verdict) > 2*maxEntryText+8 || strings.Contains(e.Verdict, secret) || e.Rank != 1 {
		t.Errorf("cut to %d entries such as %+v", len(got.Entries), e)
	}
	if len(many[0].Name) != 2*maxText {
		t.Error("the caller's own entries were changed")
	}
	if _ = (Record{Cases: cases}).Bounded(); len(cases[0].Key) != 2*maxText {
		t.Error("the caller's own cases were changed")
	}
}

func TestRecordsAreLoggedAtTheirLevelWithoutEmptyKeys(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		record Record
		level  slog.Level
		attrs  string
	}{
		"nothing to evaluate": {Record{Action: policy.Admitted, Reference: "a"}, slog.LevelDebug, "action=admitted reference=a"},
		"nothing to choose":   {Record{Action: policy.Forwarded, Reference: "a", Reason: "b"}, slog.LevelInfo, "action=forwarded reference=a reason=b"},
		"pulled": {Record{Action: policy.Pulled, Reference: "a", Image: "i", Candidates: 2}, slog.LevelInfo,
			"action=pulled reference=a image=i candidates=2"},
		"a policy answered": {Record{Action: policy.Forwarded, Cases: []policy.Case{{Key: "k", Answer: "v"}, {Key: "l", Answer: "w"}}}, slog.LevelInfo,
			`action=forwarded reference="" cases="k=v l=w"`},
		"refused":    {Record{Action: policy.Refused}, slog.LevelWarn, `action=refused reference=""`},
		"would":      {Record{Action: policy.Admitted, Would: policy.Refused, Exempt: true}, slog.LevelWarn, `action=admitted reference="" would=refused exempt=true`},
		"audited":    {Record{Action: policy.Forwarded, Would: policy.Pulled, Image: "i"}, slog.LevelInfo, `action=forwarded reference="" would=pulled image=i`},
		"unfit":      {Record{Action: policy.FoundUnfit}, slog.LevelWarn, `action=unfit reference=""`},
		"with error": {Record{Action: policy.Pulled, Error: "e"}, slog.LevelWarn, `action=pulled reference="" error=e`},
	} {
		var out bytes.Buffer
		log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
		log.LogAttrs(t.Context(), test.record.Level(), "m", test.record.Attrs()...)
		_, line, _ := strings.Cut(out.String(), " level=")
		if want := test.level.String() + " msg=m " + test.attrs + "\n"; line != want {
			t.Errorf("%s: %s, want %s", name, line, want)
		}
	}
	if len(policy.Actions()) != 6 || slices.Contains(policy.Actions(), "") {
		t.Errorf("actions %v", policy.Actions())
	}
}
