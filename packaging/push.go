package main

import (
	"archive/tar"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content/oci"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"
	"oras.land/oras-go/v2/registry/remote/retry"
)

// push copies an image with all that is attached to it to a registry, and prints its digest.
func push(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("push", flag.ContinueOnError)
	plain := flags.Bool("plain-http", false, "do not use TLS")
	flags.Usage = func() {
		fmt.Fprintln(flags.Output(), "usage: push [-plain-http] IMAGE.oci.tar REGISTRY/REPOSITORY:TAG")
	}
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 2 {
		flags.Usage()
		return fmt.Errorf("push takes two arguments, not %d", flags.NArg())
	}
	from, err := oci.NewFromTar(ctx, flags.Arg(0))
	if err != nil {
		return fmt.Errorf("open %s: %w", flags.Arg(0), err)
	}
	to, err := remote.NewRepository(flags.Arg(1))
	if err != nil {
		return err
	}
	to.PlainHTTP = *plain
	store, err := credentials.NewStoreFromDocker(credentials.StoreOptions{})
	if err != nil {
		return err
	}
	to.Client = &auth.Client{Client: retry.DefaultClient, Cache: auth.NewCache(), Credential: credentials.Credential(store)}
	index, err := readIndex(flags.Arg(0))
	if err != nil {
		return err
	}
	for _, d := range index.Manifests {
		if err := oras.CopyGraph(ctx, from, to, d, oras.DefaultCopyGraphOptions); err != nil {
			return fmt.Errorf("push %s: %w", d.Digest, err)
		}
	}
	tagged := index.Manifests[0]
	if err := to.Tag(ctx, tagged, to.Reference.Reference); err != nil {
		return fmt.Errorf("tag %s: %w", tagged.Digest, err)
	}
	fmt.Fprintln(os.Stdout, tagged.Digest)
	return nil
}

// readIndex reads the index of an archive of an OCI layout.
func readIndex(path string) (ocispec.Index, error) {
	f, err := os.Open(path)
	if err != nil {
		return ocispec.Index{}, err
	}
	defer f.Close()
	r := tar.NewReader(f)
	for {
		header, err := r.Next()
		if err != nil {
			return ocispec.Index{}, fmt.Errorf("find %s in %s: %w", ocispec.ImageIndexFile, path, err)
		}
		if header.Name != ocispec.ImageIndexFile {
			continue
		}
		var index ocispec.Index
		if err := json.NewDecoder(r).Decode(&index); err != nil {
			return index, fmt.Errorf("read %s of %s: %w", header.Name, path, err)
		}
		if len(index.Manifests) == 0 {
			return index, fmt.Errorf("%s has no image", path)
		}
		return index, nil
	}
}
