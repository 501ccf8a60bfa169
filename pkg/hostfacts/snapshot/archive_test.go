package snapshot

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/hostfacts"
)

// packed returns a tar.gz. A type of zero is a regular file.
func packed(t testing.TB, headers []tar.Header, contents ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for i, header := range headers {
		content := ""
		if i < len(contents) {
			content = contents[i]
		}
		header.Size, header.Mode = int64(len(content)), 0o644
		if err := w.WriteHeader(&header); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func openPacked(t testing.TB, data []byte) (hostfacts.Root, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.tar.gz")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return Open(path)
}

// packTree packs a directory as tar does.
func packTree(t testing.TB, dir string) []byte {
	t.Helper()
	var headers []tar.Header
	var contents []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		header, content := tar.Header{Name: "./" + filepath.ToSlash(name), Typeflag: tar.TypeReg}, []byte(nil)
		switch {
		case entry.IsDir():
			header.Name += "/"
			header.Typeflag = tar.TypeDir
		case entry.Type() == fs.ModeSymlink:
			header.Typeflag = tar.TypeSymlink
			header.Linkname, err = os.Readlink(path)
		default:
			content, err = os.ReadFile(path)
		}
		headers, contents = append(headers, header), append(contents, string(content))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return packed(t, headers, contents...)
}

// TestPackedTreeYieldsTheSameFacts: any tar.gz of a tree will do.
func TestPackedTreeYieldsTheSameFacts(t *testing.T) {
	t.Parallel()
	for name, root := range everyTree(t) {
		if root.IsReal() {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			packed, err := openPacked(t, packTree(t, root.Dir()))
			if err != nil {
				t.Fatal(err)
			}
			want, got := hostfacts.Collect(context.Background(), root), hostfacts.Collect(context.Background(), packed)
			if changes := facts.Diff(want, got); len(changes) > 0 || want.Fingerprint() != got.Fingerprint() {
				t.Errorf("differs: %v", changes)
			}
		})
	}
}

func TestArchiveLinksStayInside(t *testing.T) {
	t.Parallel()
	up := strings.Repeat("../", 30)
	root, err := openPacked(t, packed(t, []tar.Header{
		{Name: "usr/b"},
		{Name: "etc/a", Typeflag: tar.TypeSymlink, Linkname: "/usr/b"},
		{Name: "etc/up", Typeflag: tar.TypeSymlink, Linkname: up + "usr/b"},
		{Name: "etc/passwd", Typeflag: tar.TypeSymlink, Linkname: up + "etc/passwd"},
		{Name: "lib", Typeflag: tar.TypeSymlink, Linkname: "usr"},
	}, "inside"))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"usr/b": "inside", "etc/a": "inside", "etc/up": "inside", "lib/b": "inside", "/usr//b": "inside",
		"etc/passwd": "", "etc/shadow": "", "usr": "", "usr/b/c": "", "../../etc/hosts": "",
	} {
		got, err := root.ReadFile(name)
		if string(got) != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v; want %q", name, got, err, want)
		}
	}
	if link, err := root.Readlink("etc/a"); link != "/usr/b" || err != nil {
		t.Errorf("Readlink %q, %v", link, err)
	}
	if names, err := root.ReadDir("lib"); !slices.Equal(names, []string{"b"}) || err != nil {
		t.Errorf("ReadDir %q, %v", names, err)
	}
	if _, err := root.ReadDir("usr/b"); err == nil {
		t.Error("a file was listed")
	}
}

func TestBadArchivesAreRefused(t *testing.T) {
	t.Parallel()
	many := make([]tar.Header, maxArchiveEntries+1)
	for i := range many {
		many[i].Name = "f"
	}
	whole := packed(t, []tar.Header{{Name: "proc/modules"}}, "xfs 1\n")
	tests := map[string]struct {
		data []byte
		want string
	}{
		"no gzip":           {[]byte("this is not gzip"), "gzip: invalid header"},
		"empty":             {nil, "EOF"},
		"cut":               {whole[:len(whole)-20], "unexpected EOF"},
		"out by name":       {packed(t, []tar.Header{{Name: "../x"}}, "x"), "leads out of the archive"},
		"out in the middle": {packed(t, []tar.Header{{Name: "a/../../x"}}, "x"), "leads out of the archive"},
		"hard link":         {packed(t, []tar.Header{{Name: "x", Typeflag: tar.TypeLink, Linkname: "/etc/passwd"}}), "not a file, directory or symbolic link"},
		"device":            {packed(t, []tar.Header{{Name: "x", Typeflag: tar.TypeChar}}), "not a file, directory or symbolic link"},
		"below a file":      {packed(t, []tar.Header{{Name: "x"}, {Name: "x/y"}}), "is below something that is not a directory"},
		"below a link":      {packed(t, []tar.Header{{Name: "x", Typeflag: tar.TypeSymlink, Linkname: "/etc"}, {Name: "x/passwd"}}), "is below something that is not a directory"},
		"file and dir":      {packed(t, []tar.Header{{Name: "x/y"}, {Name: "x"}}), "is a directory and something else"},
		"bomb":              {packed(t, []tar.Header{{Name: "x"}}, strings.Repeat("\x00", maxArchiveSize+1)), "larger than"},
		"many entries":      {packed(t, many), "more than"},
		"bad index":         {packed(t, []tar.Header{{Name: indexFile}}, "{"), "unexpected end of JSON"},
		"later version":     {packed(t, []tar.Header{{Name: indexFile}}, `{"version":2}`), "version 2 is not supported"},
		"bad facts":         {packed(t, []tar.Header{{Name: indexFile}}, `{"version":1,"beyond_sets":["a.b"],"beyond":{"version":9}}`), "version 9 is not supported"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := openPacked(t, tt.data); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}

// FuzzSnapshot: whatever an archive has in it, nothing panics.
func FuzzSnapshot(f *testing.F) {
	f.Add([]byte("proc/modules"), []byte("xfs 1\n"), []byte(`{"version":1,"missing":["x"],"dirs":{"sys":["class"]}}`))
	f.Add([]byte("proc/cpuinfo"), []byte("flags : lm\n"), []byte(`{"version":1,"arch":"arm64","errors":{"open":{"proc/cpuinfo":"EACCES"}}}`))
	f.Add([]byte("x"), []byte(""), []byte(`{"version":1,"beyond_sets":["cpu.cpuid"],"beyond":{"version":1,"flags":{"cpu.cpuid":{"elements":{"A":{}}}}}}`))
	f.Fuzz(func(t *testing.T, name, content, index []byte) {
		a := newArchive()
		for file, data := range map[string][]byte{string(name): content, indexFile: index} {
			header := &tar.Header{Name: file, Typeflag: tar.TypeReg}
			if len(content)%7 == 1 && file == string(name) {
				header.Typeflag, header.Linkname = tar.TypeSymlink, string(content)
			}
			if err := a.add(header, bytes.NewReader(data)); err != nil {
				t.Skip(err)
			}
		}
		root, err := replayed(hostfacts.NewVirtualRoot("x", a, nil))
		if err != nil {
			t.Skip(err)
		}
		facts := hostfacts.Collect(context.Background(), root)
		_, _ = facts.MarshalJSON()
		var b bytes.Buffer
		if err := Write(context.Background(), &b, root, Options{}); err != nil {
			t.Fatal(err)
		}
		if _, err := readArchive(&b); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzReadArchive(f *testing.F) {
	f.Add(packed(f, []tar.Header{{Name: "proc/modules"}, {Name: "a", Typeflag: tar.TypeSymlink, Linkname: "/proc"}}, "xfs 1\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := readArchive(bytes.NewReader(data))
		if err != nil {
			t.Skip(err)
		}
		for name := range a {
			_, _ = a.Open(name)
			_, _ = a.ReadDir(name)
			_, _ = a.Readlink(name)
		}
	})
}
