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
		Long: `Snapshot writes a tar.gz of exactly the files that the facts of this node are
read from. "imagefit facts --root FILE" reads it on any machine and yields the
same facts. With "-" as FILE it is written to standard output.

What identifies the machine is left out: host name, serial numbers, UUIDs,
hardware and network addresses, disk labels, and the kernel parameters that
contain them or secrets. The facts that need them are unknown in the snapshot;
the fingerprint is the same. Use --all to keep them.

Files of /etc/imagefit/facts.d and of NFD's features.d are facts and are
included: review them before you share a snapshot.`,
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
