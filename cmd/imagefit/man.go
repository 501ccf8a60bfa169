package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/cpuguy83/go-md2man/v2/md2man"
	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/internal/fsutil"
	"github.com/imagefit/imagefit/pkg/config"
)

// newManCommand writes the manual pages, for packagers.
func newManCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "man DIR",
		Short: "Write the manual pages into DIR/man1, DIR/man5 and DIR/man8",
		Long: `Man writes the manual pages of all commands (section 1), of the configuration file
(section 5) and of cri-proxy and nri-plugin (section 8) into directories below DIR.`,
		Example: `  imagefit man /usr/share/man`,
		Hidden:  true,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := writeManual(cmd.Root(), args[0]); err != nil {
				return fmt.Errorf("write manual pages: %w", err)
			}
			return nil
		},
	}
}

func writeManual(root *cobra.Command, dir string) error {
	section := func(number string) (string, error) {
		path := filepath.Join(dir, "man"+number)
		return path, os.MkdirAll(path, 0o755)
	}
	header := func(number string) *doc.GenManHeader {
		return &doc.GenManHeader{Section: number, Source: "imagefit " + root.Version, Manual: "imagefit"}
	}
	commands, err := section("1")
	if err != nil {
		return err
	}
	if err := doc.GenManTree(root, header("1"), commands); err != nil {
		return err
	}
	daemons, err := section("8")
	if err != nil {
		return err
	}
	for _, program := range cli.Programs() {
		var page bytes.Buffer
		if err := doc.GenMan(program.Command(version), header("8"), &page); err != nil {
			return err
		}
		seeAlso := ".SH SEE ALSO\n\\fBimagefit(1)\\fP, \\fBimagefit-config.toml(5)\\fP\n"
		if err := writePage(daemons, program.Name+".8", append(page.Bytes(), seeAlso...)); err != nil {
			return err
		}
	}
	files, err := section("5")
	if err != nil {
		return err
	}
	return writePage(files, "imagefit-config.toml.5", md2man.Render(configPage(root.Version)))
}

func writePage(dir, name string, page []byte) error {
	return fsutil.WriteAtomic(filepath.Join(dir, name), fsutil.WriteOptions{Mode: 0o644}, fsutil.Bytes(page))
}

// configPage describes the configuration file in Markdown.
func configPage(version string) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, `%% "IMAGEFIT-CONFIG.TOML" "5" "" "imagefit %s" "imagefit"
# NAME
imagefit-config.toml - configuration of cri-proxy, nri-plugin and imagefit

# SYNOPSIS
**%s**

# DESCRIPTION
The three programs share one TOML file. It begins with **version = 1**; every other key may be left out.
Later sources override earlier ones: the file, the drop-ins **conf.d/\*.toml** beside it in the order of their
names, environment variables (**IMAGEFIT_POLICY_MODE=audit**), and **--set** *KEY=VALUE*.

**imagefit config check** finds mistakes in it, **imagefit config dump** prints what is in effect and where each value
comes from, and **systemctl reload cri-proxy nri-plugin** loads it again.

# KEYS
All keys, with their defaults:

`, version, config.DefaultPath)
	for line := range strings.Lines(config.Example()) {
		b.WriteString("    " + line)
	}
	b.WriteString("\n# SEE ALSO\n**imagefit-config(1)**, **cri-proxy(8)**, **nri-plugin(8)**\n")
	return []byte(b.String())
}
