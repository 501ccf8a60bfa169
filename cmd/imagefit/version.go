package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/imagefit/imagefit/internal/cli"
)

// versionInfo says what this program was built of.
type versionInfo struct {
	Version  string `json:"version"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func newVersionCommand() *cobra.Command {
	var output cli.Output
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Show the version of imagefit",
		Long: `Version prints the version of this program, of the Go that built it, and the
platform that it was built for. The versions of the daemons that run on this node
are in "imagefit status".`,
		Example: `  imagefit version
  imagefit version -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v := versionInfo{cli.BuildVersion(version), runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
			return output.Print(cmd, v, func(b *cli.Console) {
				fmt.Fprintf(b, "imagefit %s (%s, %s)\n", v.Version, v.Go, v.Platform)
			})
		},
	}
	output.AddFlag(cmd, cli.Text, cli.JSON)
	return cmd
}
