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

// archive makes what is unpacked below /usr/local. Where there are no nodes, it is the tool.
func (r *release) archive(_ context.Context, t target) error {
	all, err := r.binaries(t)
	if err != nil {
		return err
	}
	others, err := r.node("/usr/local")
	if err != nil {
		return err
	}
	if !t.forNodes() {
		others = slices.DeleteFunc(others, func(f file) bool { return !ofTool(f.name) })
	}
	all = append(all, others...)
	slices.SortFunc(all, func(a, b file) int { return cmp.Compare(a.name, b.name) })
	base := "imagefit-" + r.version
	var out bytes.Buffer
	if err := writeTar(&out, base, all, r.epoch, r.quick); err != nil {
		return err
	}
	return r.finish(strings.Join([]string{base, t.os, t.arch}, "-")+".tar.gz", out.Bytes(), t)
}

// ofTool tells whether a file is of use where only the tool is.
func ofTool(name string) bool {
	return !strings.HasPrefix(name, "lib/systemd/") && !strings.HasPrefix(name, "share/man/man5/") && !strings.HasPrefix(name, "share/man/man8/")
}

func writeTar(to io.Writer, base string, all []file, at time.Time, quick bool) error {
	level := gzip.DefaultCompression
	if quick {
		level = gzip.BestSpeed
	}
	zipped, err := gzip.NewWriterLevel(to, level)
	if err != nil {
		return err
	}
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
