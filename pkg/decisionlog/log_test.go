package decisionlog

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/imagefit/imagefit/pkg/policy"
)

func at(second int) time.Time { return time.Date(2026, 3, 4, 12, 0, second, 0, time.UTC) }

func record(second int, reference string) Record {
	return Record{Time: at(second), Action: policy.Pulled, Reference: reference}
}

func appendAll(t *testing.T, l *Log, records ...Record) {
	t.Helper()
	for _, r := range records {
		if err := l.Append(r); err != nil {
			t.Fatal(err)
		}
	}
}

func read(t *testing.T, l *Log, f Filter) []Record {
	t.Helper()
	found, err := l.Read(f)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// references joins what the records are about.
func references(records []Record) string {
	var all []string
	for _, r := range records {
		all = append(all, r.Reference)
	}
	return strings.Join(all, " ")
}

func TestRecordsReadBackAsAppended(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a", "b")
	l := Open(dir)
	if got := read(t, l, Filter{}); len(got) != 0 {
		t.Errorf("before the first record: %v", got)
	}
	full := Record{
		Time: at(1), Program: "cri-proxy", Action: policy.Refused, Would: policy.Pulled, Mode: "audit", Exempt: true,
		Reference: "app:1", Namespace: "shop", Pod: "web-0", Container: "web", Choice: "linux/amd64/v3",
		Manifest: "sha256:1", Image: "sha256:2", Candidates: 2, Cases: []policy.Case{{Key: "no_fit", Answer: "refuse"}},
		Reason: "because", Error: "none", Decided: time.Second, Took: time.Minute,
	}
	appendAll(t, l, full, record(2, "app:2"))
	got := read(t, l, Filter{})
	if len(got) != 2 || got[0].CasesText() != "no_fit=refuse" {
		t.Fatalf("got %+v", got)
	}
	got[0].Cases, full.Cases = nil, nil
	if !got[0].Time.Equal(full.Time) || got[0].Attrs()[0].String() != full.Attrs()[0].String() || got[0].Took != full.Took {
		t.Errorf("got %+v, want %+v", got[0], full)
	}
	info, err := os.Stat(filepath.Join(dir, file))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestFilterSelectsByEachField(t *testing.T) {
	t.Parallel()
	l := Open(t.TempDir())
	appendAll(t, l,
		Record{Time: at(1), Reference: "a/app:1", Action: policy.Pulled, Program: "cri-proxy", Namespace: "x"},
		Record{Time: at(2), Reference: "b/app:2", Action: policy.Forwarded, Would: policy.Refused, ReasonCode: policy.NothingFits, Program: "cri-proxy", Namespace: "y"},
		Record{Time: at(3), Reference: "c/web:3", Action: policy.Refused, Program: "nri-plugin", Namespace: "y", Pod: "p"},
	)
	for name, test := range map[string]struct {
		filter Filter
		want   string
	}{
		"all":        {Filter{}, "a/app:1 b/app:2 c/web:3"},
		"since":      {Filter{Since: at(2)}, "b/app:2 c/web:3"},
		"reason":     {Filter{Reason: policy.NothingFits}, "b/app:2"},
		"action":     {Filter{Action: policy.Pulled}, "a/app:1"},
		"would have": {Filter{Action: policy.Refused}, "b/app:2 c/web:3"},
		"program":    {Filter{Program: "nri-plugin"}, "c/web:3"},
		"namespace":  {Filter{Namespace: "y"}, "b/app:2 c/web:3"},
		"pod":        {Filter{Pod: "p"}, "c/web:3"},
		"reference":  {Filter{Reference: "app"}, "a/app:1 b/app:2"},
		"several":    {Filter{Reference: "app", Namespace: "y"}, "b/app:2"},
		"none":       {Filter{Reference: "nothing"}, ""},
	} {
		if got := references(read(t, l, test.filter)); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

func TestRotationKeepsTwoBoundedFilesInOrder(t *testing.T) {
	t.Parallel()
	l := Open(t.TempDir())
	l.max = 4 << 10
	var all []string
	for i := range 200 {
		name := "app:" + strings.Repeat("x", i%50)
		all = append(all, name)
		appendAll(t, l, record(1, name))
	}
	got := read(t, l, Filter{})
	if len(got) < 20 || len(got) == len(all) {
		t.Errorf("%d of %d records are kept", len(got), len(all))
	}
	if want := strings.Join(all[len(all)-len(got):], " "); references(got) != want {
		t.Errorf("got %s\nwant %s", references(got), want)
	}
	var total int64
	for _, name := range []string{file, rotated} {
		if info, err := os.Stat(filepath.Join(l.dir, name)); err == nil {
			total += info.Size()
		}
	}
	if total > 2*l.max+maxLine {
		t.Errorf("both files have %d bytes", total)
	}
}

// TestDamagedLinesAreSkipped: a full disk or an editor may leave them.
func TestDamagedLinesAreSkipped(t *testing.T) {
	t.Parallel()
	const good = `{"time":"2026-03-04T12:00:01Z","program":"p","action":"pulled","reference":"app:1"}`
	for name, test := range map[string]struct {
		text string
		want int
	}{
		"nothing":           {"", 0},
		"one":               {good + "\n", 1},
		"the last is cut":   {good + "\n" + good[:40], 1},
		"the last is whole": {good + "\n" + good, 1}, // but for its end
		"not JSON":          {"{\nnull\n[]\n\"x\"\n\x00\xff\n" + good + "\n", 1},
		"empty lines":       {"\n\r\n \n" + good + "\r\n", 1},
		"no time":           {`{"action":"pulled"}` + "\n" + good + "\n", 1},
		"other types":       {`{"time":"2026-03-04T12:00:01Z","candidates":"many"}` + "\n" + good + "\n", 1},
		"deep":              {strings.Repeat("[", maxLine/2) + "\n" + good + "\n", 1},
		"a long line":       {strings.Repeat(" ", 3*maxLine) + good + "\n" + good + "\n", 1},
		"a line of maxLine": {strings.Repeat(" ", maxLine-len(good)-1) + good + "\n" + good + "\n", 2},
		"new keys":          {`{"time":"2026-03-04T12:00:01Z","action":"dreamt","hue":{"a":[1]}}` + "\n", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := Open(t.TempDir())
			path := filepath.Join(l.dir, file)
			if err := os.WriteFile(path, []byte(test.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if got := read(t, l, Filter{}); len(got) != test.want {
				t.Errorf("%d records, want %d", len(got), test.want)
			}
			appendAll(t, l, record(1, "next"))
			got := read(t, l, Filter{})
			if len(got) < test.want+1 || got[len(got)-1].Reference != "next" {
				t.Errorf("an appended record is lost: %+v", got)
			}
		})
	}
}

func TestErrorsNameTheFileThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	blocked := filepath.Join(dir, "blocked")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Open(blocked).Append(record(1, "app")); err == nil || !strings.Contains(err.Error(), blocked) {
		t.Errorf("a file in place of the directory: %v", err)
	}
	if _, err := Open(blocked).Read(Filter{}); err == nil {
		t.Error("a file in place of the directory can be read")
	}
	if err := os.Mkdir(filepath.Join(dir, file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := Open(dir).Append(record(1, "app")); err == nil {
		t.Error("a directory in place of the file can be written")
	}
	if _, err := Open(dir).Read(Filter{}); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("a directory in place of the file: %v", err)
	}
}

// TestProcessesAppendAndRotateAtOnce: each record is there once, and in the order
// of its writer.
func TestProcessesAppendAndRotateAtOnce(t *testing.T) {
	t.Parallel()
	l := Open(t.TempDir())
	l.max = smallFile
	var group errgroup.Group
	for range 3 {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), appendEnv+"="+l.dir)
		cmd.Stderr = os.Stderr
		group.Go(cmd.Run)
	}
	for _, who := range []string{"first", "second"} {
		group.Go(func() error { return appendMany(l, who, 200) })
	}
	group.Go(func() error { // reading meanwhile finds only whole records
		for range 50 {
			if _, err := l.Read(Filter{}); err != nil {
				return err
			}
		}
		return nil
	})
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	next := map[string]int{}
	for _, r := range read(t, l, Filter{}) {
		next[r.Program]++
		if r.Candidates != next[r.Program] {
			t.Fatalf("record %d of %s comes as number %d", r.Candidates, r.Program, next[r.Program])
		}
	}
	for who, count := range next {
		if count != 200 {
			t.Errorf("%s has %d records", who, count)
		}
	}
	if len(next) != 5 {
		t.Errorf("%d writers", len(next))
	}
}

func TestWritersThatRotateAtOnceLoseNoRecord(t *testing.T) {
	t.Parallel()
	for range 20 {
		l := Open(t.TempDir())
		var line int64
		appendAll(t, l, record(1, "first"))
		if info, err := os.Stat(filepath.Join(l.dir, file)); err == nil {
			line = info.Size()
		}
		l.max = 3 * line // the third record moves the file, the others stay below
		var group errgroup.Group
		for range 4 {
			group.Go(func() error { return l.Append(record(1, "other")) })
		}
		if err := group.Wait(); err != nil {
			t.Fatal(err)
		}
		if got := read(t, l, Filter{}); len(got) != 5 {
			t.Fatalf("%d records, want 5", len(got))
		}
	}
}

func TestFileRotatedWhileOpeningIsReadOnce(t *testing.T) {
	t.Parallel()
	l := Open(t.TempDir())
	appendAll(t, l, record(1, "a"))
	if err := os.Link(filepath.Join(l.dir, file), filepath.Join(l.dir, rotated)); err != nil {
		t.Fatal(err)
	}
	if got := references(read(t, l, Filter{})); got != "a" {
		t.Errorf("got %q", got)
	}
}

func TestAppendRecreatesADeletedDirectory(t *testing.T) {
	t.Parallel()
	l := Open(filepath.Join(t.TempDir(), "state"))
	appendAll(t, l, record(1, "one"))
	if err := os.RemoveAll(l.dir); err != nil {
		t.Fatal(err)
	}
	appendAll(t, l, record(1, "two"))
	if got := references(read(t, l, Filter{})); got != "two" {
		t.Errorf("got %q", got)
	}
	if _, err := os.Stat(filepath.Join(l.dir, rotated)); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}
