package decisionlog

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"unicode/utf8"
)

// FuzzReadIsBoundedAndFindsWhatIsAppended: whatever is in the file.
func FuzzReadIsBoundedAndFindsWhatIsAppended(f *testing.F) {
	good := `{"time":"2026-03-04T12:00:01Z","program":"cri-proxy","action":"refused","would":"pulled","reference":"app:1",` +
		`"cases":[{"key":"no_fit","answer":"refuse"}],"error":"https://u:p@h/?q","took_ns":1}`
	for _, seed := range []string{"", "\n", good, good + "\n", good[:50] + "\n" + good + "\n", "{}\n[]\nnull\n", "\x00\xff\n" + good + "\r\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		l := Open(t.TempDir())
		if err := os.WriteFile(filepath.Join(l.dir, file), text, 0o600); err != nil {
			t.Fatal(err)
		}
		found := read(t, l, Filter{})
		if len(found) > bytes.Count(text, []byte("\n")) {
			t.Fatalf("%d records in %d lines", len(found), bytes.Count(text, []byte("\n")))
		}
		for _, r := range found {
			for _, s := range []string{string(r.Action), r.Reference, r.Reason, r.Error, r.CasesText()} {
				if !utf8.ValidString(s) || len(s) > maxCases*3*maxText {
					t.Fatalf("%d bytes: %.100q", len(s), s)
				}
			}
		}
		appendAll(t, l, record(1, "next"))
		again := read(t, l, Filter{})
		if len(again) < len(found)+1 || again[len(again)-1].Reference != "next" {
			t.Fatalf("%d records became %d", len(found), len(again))
		}
	})
}
