package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/imagefit/imagefit/internal/fsutil"
	"github.com/imagefit/imagefit/pkg/hostfacts"
	"github.com/imagefit/imagefit/pkg/hostfacts/snapshot"
)

// snapshotCommand saves the files that the facts of a node are read from.
type snapshotCommand struct {
	root string
	all  bool
}

func newSnapshotCommand() *cobra.Command {
	var c snapshotCommand
	cmd := &cobra.Command{
		Use:   "snapshot FILE",
		Short: "Save the files that the facts are read from",
		Long: `Snapshot writes a tar.gz of just the files that the facts of this node are read
from. "imagefit facts --root FILE" takes it back, on any machine, and yields the
same facts. With "-" as FILE it is written to standard output.

Left out is what tells this machine from its twin: host name, serial numbers,
UUIDs, hardware and network addresses, disk labels, and the kernel parameters
that hold them or secrets. The facts that need them are unknown in the snapshot;
the fingerprint is the same. With --all they are kept.

What the operator says in /etc/imagefit/facts.d, and NFD's features.d files, are
facts and go along: look at them before you hand on a snapshot.`,
		Example: `  imagefit facts snapshot node-1.tar.gz
  imagefit facts --root node-1.tar.gz`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return c.run(cmd, args[0]) },
	}
	rootFlag(cmd, &c.root)
	cmd.Flags().BoolVar(&c.all, "all", false, "keep host name, serial numbers, UUIDs and addresses")
	return cmd
}

func (c snapshotCommand) run(cmd *cobra.Command, path string) error {
	root, err := openRoot(c.root)
	if err != nil {
		return err
	}
	if path == "-" {
		return c.write(cmd.Context(), cmd.OutOrStdout(), root)
	}
	err = fsutil.WriteAtomic(path, fsutil.WriteOptions{}, func(w io.Writer) error { return c.write(cmd.Context(), w, root) })
	if err != nil {
		return fmt.Errorf("save snapshot: %w", err)
	}
	return nil
}

func (c snapshotCommand) write(ctx context.Context, w io.Writer, root hostfacts.Root) error {
	return snapshot.Write(ctx, w, root, snapshot.Options{Identity: c.all})
}
