package main

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/distribution/reference"
	"github.com/spf13/cobra"

	"github.com/imagefit/imagefit/internal/fsutil"
	"github.com/imagefit/imagefit/pkg/author/attach"
	"github.com/imagefit/imagefit/pkg/catalog"
	"github.com/imagefit/imagefit/pkg/decision"
)

// maxHostsFile bounds a hosts.toml that is compared.
const maxHostsFile = 1 << 20

// writeHosts writes how nodes reach the mirror, for each registry of images that it has.
// What somebody else wrote is left as it is.
func (c *catalogMirror) writeHosts(cmd *cobra.Command, copied []catalog.Mirrored) error {
	hosts := catalog.Hosts{Mirror: c.to, Plain: isPlain, Resolve: c.resolve}
	done := map[string]bool{}
	for _, one := range copied {
		named, err := reference.ParseNormalizedNamed(one.Name)
		if err != nil || one.To == "" || one.Problem != "" || done[reference.Domain(named)] {
			continue
		}
		registry := reference.Domain(named)
		done[registry] = true
		text, path := []byte(hosts.File(registry)), filepath.Join(c.hosts, registry, "hosts.toml")
		there, err := fsutil.ReadFile(path, maxHostsFile)
		switch {
		case err == nil && bytes.Equal(there, text):
			continue
		case err == nil:
			cmd.PrintErrf("imagefit: %s exists and is left as it is; for the mirror it needs\n%s", path, text)
			continue
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := fsutil.WriteAtomic(path, fsutil.WriteOptions{Mode: 0o644}, fsutil.Bytes(text)); err != nil {
			return err
		}
		cmd.PrintErrf("imagefit: wrote %s\n", decision.Line(path))
	}
	return nil
}

// isPlain tells registries that are reached by HTTP.
func isPlain(host string) bool {
	named, err := reference.ParseNormalizedNamed(host + "/x")
	if err != nil {
		return false
	}
	target := attach.NewTarget(named, nil, "")
	defer target.Close()
	return target.Repository().PlainHTTP
}
