package snapshot

import (
	"bytes"
	"context"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/imagefit/imagefit/internal/testkit/hosttest"
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/hostfacts"
	"github.com/imagefit/imagefit/pkg/hostfacts/operator"
)

// denied answers "permission denied" for names that deny wants, and passes on
// the rest.
type denied struct {
	hostfacts.Files
	deny func(name string) bool
}

func (d denied) Open(name string) (hostfacts.File, error) {
	if d.deny(clean(name)) {
		return nil, syscall.EACCES
	}
	return d.Files.Open(name)
}

func (d denied) ReadDir(name string) ([]string, error) {
	if d.deny(clean(name)) {
		return nil, syscall.EACCES
	}
	return d.Files.ReadDir(name)
}

func (d denied) Readlink(name string) (string, error) {
	if d.deny(clean(name)) {
		return "", syscall.EACCES
	}
	return d.Files.Readlink(name)
}

func (d denied) Stat(name string) error {
	if d.deny(clean(name)) {
		return syscall.EACCES
	}
	return d.Files.Stat(name)
}

func below(dir string) func(string) bool {
	return func(name string) bool { return name == dir || strings.HasPrefix(name, dir+"/") }
}

// TestNothingReadableMeansNothingKnown: where no file can be opened, no set of
// any collector is known, and each cause names a path.
func TestNothingReadableMeansNothingKnown(t *testing.T) {
	t.Parallel()
	everything := func(string) bool { return true }
	root := hostfacts.NewVirtualRoot("/node", denied{hostFiles(t, "amd-genoa"), everything}, nil)
	facts := hostfacts.Collect(context.Background(), root)
	have := facts.Features()
	for _, declared := range hostfacts.Sets() {
		set := declared.Name
		known := len(have.Flags[set]) + len(have.Attributes[set]) + len(have.Instances[set])
		cause := have.Unknown[set]
		for name, why := range have.Unknown { // some sets have these elements and no other
			if strings.HasPrefix(name, set+"/") {
				cause = why
			}
		}
		if known > 0 || cause == "" {
			t.Errorf("%s: %d known, cause %q", set, known, cause)
		}
		if !strings.Contains(cause, "permission denied reading /node/") {
			t.Errorf("%s: the cause names no path: %q", set, cause)
		}
	}
}

func hostFiles(t testing.TB, name string) hostfacts.Files {
	t.Helper()
	return hostfacts.NewRoot(hosttest.Host(t, testdata+"/hosts/"+name+".txt")).Files()
}

// TestNothingBecomesAbsentByDenial denies one path after the other that a
// discovery looks at. What was present may become unknown by that, never absent
// and never another value; and what was absent never present.
func TestNothingBecomesAbsentByDenial(t *testing.T) {
	t.Parallel()
	for name, root := range capturedHosts(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := inMemory(t, root)
			want := hostfacts.Collect(context.Background(), root)
			for _, path := range lookedAt(root) {
				if below(path)(operator.Dir) && fromOperator(want) || below(operator.Dir)(path) {
					continue // what the operator says is not laid over then, and that is among the problems
				}
				got := hostfacts.Collect(context.Background(), hostfacts.NewVirtualRoot(root.Dir(), denied{root.Files(), below(path)}, nil))
				for _, change := range facts.Diff(want, got) {
					if !isLossOfKnowledge(change) {
						t.Errorf("%s denied: %v", path, change)
					}
				}
			}
		})
	}
}

// fromOperator reports whether any fact comes from a file of the operator.
func fromOperator(f *facts.Facts) bool {
	for _, origin := range f.Features().Origins {
		if strings.Contains(origin, operator.Dir) {
			return true
		}
	}
	return false
}

// inMemory returns a root with the same files, which is faster to read.
func inMemory(t testing.TB, root hostfacts.Root) hostfacts.Root {
	t.Helper()
	packed, err := openPacked(t, packTree(t, root.Dir()))
	if err != nil {
		t.Fatal(err)
	}
	return packed
}

// lookedAt returns every path that a discovery asks for.
func lookedAt(root hostfacts.Root) []string {
	r := newRecording(root.Files())
	hostfacts.Collect(context.Background(), hostfacts.NewVirtualRoot(root.Dir(), r, nil))
	paths := map[string]struct{}{}
	addPaths(paths, r.content)
	addPaths(paths, r.dirs)
	addPaths(paths, r.links)
	addPaths(paths, r.there)
	for _, failed := range r.failed {
		addPaths(paths, failed)
	}
	for path := range maps.Clone(paths) {
		for dir := filepath.Dir(path); dir != "."; dir = filepath.Dir(dir) {
			paths[dir] = struct{}{}
		}
	}
	return slices.Sorted(maps.Keys(paths))
}

func isLossOfKnowledge(c facts.Change) bool {
	return c.Kind == "~" && (c.After == "unknown" || c.After == "the rest unknown")
}

// broken answers as a file system does where a directory has the place of a
// file, or where a disk fails.
type broken struct {
	hostfacts.Files
	name string
	err  error // of reading; nil: a directory
}

func (b broken) Open(name string) (hostfacts.File, error) {
	if clean(name) != b.name {
		return b.Files.Open(name)
	}
	if b.err == nil {
		return nil, hostfacts.ErrNotRegular
	}
	return replayedFile{memoryFile{bytes.NewReader(nil)}, b.err}, nil
}

// TestNothingBecomesAbsentByBreakage breaks one file after the other.
func TestNothingBecomesAbsentByBreakage(t *testing.T) {
	t.Parallel()
	for name, root := range capturedHosts(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := inMemory(t, root)
			want := hostfacts.Collect(context.Background(), root)
			r := newRecording(root.Files())
			hostfacts.Collect(context.Background(), hostfacts.NewVirtualRoot(root.Dir(), r, nil))
			for path := range r.content {
				if below(operator.Dir)(path) {
					continue
				}
				for _, err := range []error{nil, syscall.EIO} {
					got := hostfacts.Collect(context.Background(), hostfacts.NewVirtualRoot(root.Dir(), broken{root.Files(), path, err}, nil))
					for _, change := range facts.Diff(want, got) {
						if !isLossOfKnowledge(change) {
							t.Errorf("%s broken (%v): %v", path, err, change)
						}
					}
				}
			}
		})
	}
}

// TestNoTreePanics makes trees of rubbish: files of captured hosts, some
// replaced by noise, by directories and by links that lead nowhere or in rings.
func TestNoTreePanics(t *testing.T) {
	t.Parallel()
	hosts := capturedHosts(t)
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 7))
		name := slices.Sorted(maps.Keys(hosts))[random.IntN(len(hosts))]
		checkRubbish(t, rubbish(t, random, inMemory(t, hosts[name])))
	}
}

func FuzzTrees(f *testing.F) {
	hosts := capturedHosts(f)
	names := slices.Sorted(maps.Keys(hosts))
	for i, name := range names {
		hosts[name] = inMemory(f, hosts[name])
		f.Add(uint64(i), uint64(i))
	}
	f.Fuzz(func(t *testing.T, host, seed uint64) {
		random := rand.New(rand.NewPCG(seed, host))
		checkRubbish(t, rubbish(t, random, hosts[names[host%uint64(len(names))]]))
	})
}

func checkRubbish(t *testing.T, root hostfacts.Root) {
	t.Helper()
	known := hostfacts.Collect(context.Background(), root)
	for name, cause := range known.Unknown() {
		if cause == "" || strings.Contains(cause, "panicked") {
			t.Errorf("%s: cause %q", name, cause)
		}
	}
	known.Labels()
	data, err := known.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	back, err := hostfacts.Parse(bytes.NewReader(data))
	if err != nil || back.Fingerprint() != known.Fingerprint() {
		t.Errorf("read back: %v, %v", err, facts.Diff(known, back))
	}
}

// rubbish returns the root with about a fifth of what is looked at replaced.
func rubbish(t *testing.T, random *rand.Rand, root hostfacts.Root) hostfacts.Root {
	t.Helper()
	from, _ := root.Files().(archive)
	bad := newArchive()
	paths := lookedAt(root)
	for _, path := range paths {
		entry := from[path]
		if random.IntN(5) == 0 {
			entry = badEntry(random, paths)
		}
		if entry != nil {
			_ = bad.put(path, entry) // below a file or a link there is nothing
		}
	}
	return hostfacts.NewVirtualRoot("/rubbish", bad, nil)
}

func badEntry(random *rand.Rand, paths []string) *archived {
	switch random.IntN(4) {
	case 0:
		noise := make([]byte, random.IntN(400))
		for i := range noise {
			noise[i] = byte(random.Uint32())
		}
		return &archived{data: noise}
	case 1:
		words := []string{"", "\n", "-1", "18446744073709551616", "0-", ",", ":", "=", "\x00", "a\tb", "9.9.9", "\"", "0x", "[[", "\xff"}
		var b strings.Builder
		for range random.IntN(30) {
			b.WriteString(words[random.IntN(len(words))])
		}
		return &archived{data: []byte(b.String())}
	case 2:
		return &archived{names: map[string]struct{}{}}
	default:
		return &archived{link: "/" + paths[random.IntN(len(paths))]}
	}
}

func addPaths[V any](to map[string]struct{}, from map[string]V) {
	for path := range from {
		to[path] = struct{}{}
	}
}
