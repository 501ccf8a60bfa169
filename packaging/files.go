package main

import (
	"bytes"
	"compress/gzip"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// file is one file of an archive or a package.
type file struct {
	name    string // with slashes, below the root of what it goes into
	content []byte
	mode    fs.FileMode
}

// shell is where a shell looks for completions.
type shell struct{ name, path string }

func shells() []shell {
	return []shell{
		{"bash", "share/bash-completion/completions/imagefit"},
		{"fish", "share/fish/vendor_completions.d/imagefit.fish"},
		{"zsh", "share/zsh/site-functions/_imagefit"},
	}
}

// units are those of deploy/systemd, which has the programs in /usr/local/bin.
func units() []string { return []string{"cri-proxy.socket", "cri-proxy.service", "nri-plugin.service"} }

// node returns what is installed on a node below a prefix, without the programs.
func (r *release) node(prefix string) ([]file, error) {
	var all []file
	add := func(name, source string, change func([]byte) []byte) error {
		content, err := os.ReadFile(source)
		if err != nil {
			return err
		}
		if change != nil {
			content = change(content)
		}
		all = append(all, file{name: name, content: content, mode: 0o644})
		return nil
	}
	for _, unit := range units() {
		err := add("lib/systemd/system/"+unit, filepath.Join(r.source, "deploy/systemd", unit), func(text []byte) []byte {
			return bytes.ReplaceAll(text, []byte("ExecStart=/usr/local/bin/"), []byte("ExecStart="+prefix+"/bin/"))
		})
		if err != nil {
			return nil, err
		}
	}
	for _, shell := range shells() {
		if err := add(shell.path, r.completion(shell.name), nil); err != nil {
			return nil, err
		}
	}
	for _, name := range []string{"LICENSE", "README.md", "CHANGELOG.md", "config.toml.example"} {
		if err := add("share/doc/imagefit/"+name, filepath.Join(r.source, name), nil); err != nil {
			return nil, err
		}
	}
	for dir, to := range map[string]string{
		filepath.Join(r.source, "deploy/images.d"): "share/doc/imagefit/images.d",
		filepath.Join(r.work, "man", "man1"):       "share/man/man1",
		filepath.Join(r.work, "man", "man5"):       "share/man/man5",
		filepath.Join(r.work, "man", "man8"):       "share/man/man8",
	} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return nil, err
		}
		for _, entry := range entries {
			name, change := path.Join(to, entry.Name()), (func([]byte) []byte)(nil)
			if strings.HasPrefix(to, "share/man/") {
				name, change = name+".gz", compressed
			}
			if err := add(name, filepath.Join(dir, entry.Name()), change); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// binaries returns the programs of a target, below bin.
func (r *release) binaries(t target) ([]file, error) {
	var all []file
	for _, name := range t.programs {
		content, err := os.ReadFile(r.program(t, name))
		if err != nil {
			return nil, err
		}
		all = append(all, file{name: "bin/" + t.file(name), content: content, mode: 0o755})
	}
	return all, nil
}

// compressed is gzip -9n.
func compressed(content []byte) []byte {
	var out bytes.Buffer
	w, _ := gzip.NewWriterLevel(&out, gzip.BestCompression) // the level is valid
	_, _ = w.Write(content)                                 // into memory
	_ = w.Close()
	return out.Bytes()
}

func writeFile(name string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return os.WriteFile(name, content, 0o644)
}
