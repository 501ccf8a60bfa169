package main

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"io"
	"path"
	"slices"
	"strings"
	"time"
)

// archive makes what is unpacked below /usr/local.
func (r *release) archive(_ context.Context, t target) error {
	all, err := r.binaries(t)
	if err != nil {
		return err
	}
	others, err := r.node("/usr/local")
	if err != nil {
		return err
	}
	all = append(all, others...)
	slices.SortFunc(all, func(a, b file) int { return cmp.Compare(a.name, b.name) })
	base := "imagefit-" + r.version
	var out bytes.Buffer
	if err := writeTar(&out, base, all, r.epoch); err != nil {
		return err
	}
	return r.finish(strings.Join([]string{base, t.os, t.arch}, "-")+".tar.gz", out.Bytes(), t)
}

func writeTar(to io.Writer, base string, all []file, at time.Time) error {
	zipped := gzip.NewWriter(to)
	w := tar.NewWriter(zipped)
	for _, f := range all {
		header := &tar.Header{
			Typeflag: tar.TypeReg, Name: path.Join(base, f.name), Size: int64(len(f.content)), Mode: int64(f.mode),
			ModTime: at, Uname: "root", Gname: "root", Format: tar.FormatUSTAR,
		}
		if err := w.WriteHeader(header); err != nil {
			return err
		}
		if _, err := w.Write(f.content); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	return zipped.Close()
}
