// Command packaging makes a release of imagefit: archives, Debian and RPM packages, an
// image, a bill of materials for each, and their checksums. What it makes depends on the sources,
// the version and the version of Go alone. "packaging push" pushes the image.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	do, args := run, os.Args[1:]
	if len(args) > 0 && args[0] == "push" {
		do, args = push, args[1:]
	}
	err := do(ctx, args)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("release", flag.ContinueOnError)
	source := flags.String("source", "..", "root of the repository")
	out := flags.String("out", "../dist", "new or empty folder for what is made")
	describe := flags.String("version", "", "version, as git describe --tags prints it; empty asks git")
	kinds := flags.String("kinds", strings.Join(allKinds(), ","), "what to make")
	programs := flags.String("programs", "", "folder of programs for this machine's own platform, in place of building them")
	inImage := flags.String("in-image", strings.Join(imagePrograms(), ","), "programs of the image")
	quick := flags.Bool("quick", false, "compress little, for tests")
	platforms := flags.String("platforms", strings.Join(allPlatforms(), ","), "systems and architectures to make it for")
	if err := flags.Parse(args); err != nil {
		return err
	}
	r, err := newRelease(ctx, *source, *out, *describe)
	if err != nil {
		return err
	}
	defer r.clean()
	r.programs, r.quick = *programs, *quick
	if r.kinds, err = chosen("kind", *kinds, allKinds()); err != nil {
		return err
	}
	if r.inImage, err = chosen("program", *inImage, imagePrograms()); err != nil {
		return err
	}
	if r.platforms, err = chosen("platform", *platforms, allPlatforms()); err != nil {
		return err
	}
	return r.make(ctx)
}

// chosen splits a list and checks that all of it is known.
func chosen(what, list string, known []string) (map[string]bool, error) {
	all := map[string]bool{}
	for _, name := range known {
		all[name] = false
	}
	for _, name := range strings.Split(list, ",") {
		if _, ok := all[name]; !ok {
			return nil, fmt.Errorf("unknown %s %q: there are %s", what, name, strings.Join(known, ", "))
		}
		all[name] = true
	}
	return all, nil
}
