// Command demo shows imagefit at work: a registry, containerd with runc,
// cri-proxy and nri-plugin, all real and in a temporary folder. It ends with
// exit code 0 only if everything that it shows was observed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/imagefit/imagefit/integration/stack"
)

func main() {
	bin := flag.String("bin", "", "folder of cri-proxy and nri-plugin; they are built where it is empty")
	flag.Parse()
	if err := start(*bin); err != nil {
		fmt.Fprintln(os.Stderr, "\ndemo:", err)
		os.Exit(1)
	}
}

func start(bin string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends at once
	if bin != "" {
		if err := os.Setenv("IMAGEFIT_BIN", bin); err != nil {
			return err
		}
	}
	err := run(ctx, os.Stdout)
	if err != nil && ctx.Err() != nil {
		return errors.New("interrupted; everything was cleaned up")
	}
	return err
}

// demo is the running parts.
type demo struct {
	out        io.Writer
	start      time.Time
	registry   *stack.Registry
	containerd *stack.Containerd
	fit        *stack.Imagefit
	kubelet    *stack.CRI // image calls through the proxy, as with imageServiceEndpoint
}

func run(ctx context.Context, out io.Writer) (err error) {
	if err := stack.Usable(); err != nil {
		return fmt.Errorf("this demo runs real containers, so it %w", err)
	}
	d := &demo{out: out, start: time.Now()}
	defer func() { err = errors.Join(err, d.stop()) }()
	for _, step := range []func(context.Context) error{d.begin, d.pullFit, d.refusePull, d.refuseCreate} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// begin starts everything.
func (d *demo) begin(ctx context.Context) (err error) {
	d.step("starting a registry")
	if d.registry, err = stack.NewRegistry(); err != nil {
		return err
	}
	d.step("starting containerd and runc")
	if d.containerd, err = stack.StartContainerd(ctx, stack.Options{}); err != nil {
		return err
	}
	d.step("starting cri-proxy in front of containerd")
	if d.fit, err = d.containerd.NewImagefit(ctx, stack.Settings{}); err != nil {
		return err
	}
	if err := d.fit.StartProxy(ctx); err != nil {
		return err
	}
	d.step("starting nri-plugin beside it")
	if err := d.fit.StartPlugin(ctx); err != nil {
		return err
	}
	d.kubelet, err = d.containerd.ImagesVia(d.fit.Socket)
	return err
}

// stop ends everything in the reverse order and removes the folder.
func (d *demo) stop() error {
	d.step("cleaning up")
	var errs []error
	if d.kubelet != nil {
		errs = append(errs, d.kubelet.Close())
	}
	if d.fit != nil {
		errs = append(errs, d.fit.Stop())
	}
	if d.containerd != nil {
		errs = append(errs, d.containerd.Stop())
	}
	if d.registry != nil {
		errs = append(errs, d.registry.Close())
	}
	return errors.Join(errs...)
}

func (d *demo) step(format string, args ...any) {
	fmt.Fprintf(d.out, "%5.1fs  %s\n", time.Since(d.start).Seconds(), fmt.Sprintf(format, args...))
}

func (d *demo) show(text string) {
	for line := range strings.Lines(text) {
		if line != "\n" {
			line = "        " + line
		}
		fmt.Fprint(d.out, line)
	}
	fmt.Fprintln(d.out)
}
