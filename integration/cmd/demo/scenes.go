package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"google.golang.org/grpc/status"

	"github.com/imagefit/imagefit/integration/stack"
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/hostfacts"
)

// variant is one entry of the demo's index and what its artifact says.
type variant struct {
	name, platform, needs string
}

// variantsFor are the entries for a machine of this architecture: what every
// machine runs, what a better one runs, what no machine can, and another
// architecture's.
func variantsFor(arch string) []variant {
	if arch == "arm64" {
		return []variant{
			{"plain", "arm64", ""},
			{"simd", "arm64", `"cpu-cpuid.ASIMD": true`},
			{"future", "arm64", `"cpu-cpuid.ASIMD": true, "kernel-version.major": 99`},
			{"amd64", "amd64", ""},
		}
	}
	return []variant{
		{"plain", "amd64", ""},
		{"v3", "amd64/v3", `"cpu-cpuid.AVX2": true`},
		{"future", "amd64/v3", `"cpu-cpuid.AVX2": true, "kernel-version.major": 99`},
		{"arm64", "arm64", ""},
	}
}

// expected is the variant that this machine should get, found out apart from
// the daemons.
func expected(ctx context.Context) string {
	known := hostfacts.Collect(ctx, hostfacts.NewRoot("/"))
	switch {
	case known.Arch() == "arm64" && known.Lookup("cpu.cpuid", "ASIMD").State == facts.Present:
		return "simd"
	case known.Arch() == "amd64" && known.Lookup("cpu.x86_64", "level").Value >= "3":
		return "v3"
	default:
		return "plain"
	}
}

func (v variant) image() stack.Image {
	arch, level, _ := strings.Cut(v.platform, "/")
	return stack.Image{
		Variant: v.name, User: "1000",
		Platform: ocispec.Platform{OS: "linux", Architecture: arch, Variant: level},
	}
}

func attach(ctx context.Context, repo *stack.Repo, subject ocispec.Descriptor, needs string) error {
	if needs == "" {
		return nil
	}
	_, err := repo.Attach(ctx, subject, stack.Artifact{Body: fmt.Appendf(nil, `{"compatibilities": {"nfd": {%s}}}`, needs)})
	return err
}

// pullFit pulls an index of four variants and runs what arrives.
func (d *demo) pullFit(ctx context.Context) error {
	repo := d.registry.Repo("demo")
	ref := repo.Ref("latest")
	d.step("pushing %s: four variants and what they need", ref)
	variants := variantsFor(runtime.GOARCH)
	var images []stack.Image
	for _, v := range variants {
		images = append(images, v.image())
	}
	_, manifests, err := repo.PushIndex(ctx, "latest", images...)
	if err != nil {
		return err
	}
	for i, v := range variants {
		if err := attach(ctx, repo, manifests[i], v.needs); err != nil {
			return err
		}
	}
	d.step("pulling %s through the proxy, as the kubelet does", ref)
	id, err := d.kubelet.Pull(ctx, ref, stack.PullOptions{})
	if err != nil {
		return err
	}
	image, err := d.kubelet.Status(ctx, ref)
	if err != nil || image.GetId() != id {
		return fmt.Errorf("%s resolves to %s after a pull of %s: %w", ref, image.GetId(), id, err)
	}
	container, err := d.kubelet.RunContainer(ctx, ref, stack.PodOptions{ImageRef: id})
	if err != nil {
		return err
	}
	said, err := d.kubelet.WaitOutput(ctx, container)
	if err != nil {
		return err
	}
	d.step("the container says: %s", said)
	explained, err := d.explain(ctx, ref)
	if err != nil {
		return err
	}
	fmt.Fprintln(d.out)
	d.step("imagefit explain says why:")
	fmt.Fprintln(d.out)
	d.show(explained)
	if want := "variant=" + expected(ctx) + " uid=1000"; said != want {
		return fmt.Errorf("the container says %q, this machine should get %q", said, want)
	}
	return nil
}

// explain has the tool say, by the same configuration, how the proxy decides.
func (d *demo) explain(ctx context.Context, ref string) (string, error) {
	tool := filepath.Join(filepath.Dir(d.fit.Proxy.Path), "imagefit")
	cmd := exec.CommandContext(ctx, tool, "explain", ref, "--config", d.fit.Config)
	cmd.Env = stack.Environ()
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("imagefit explain %s: %w", ref, err)
	}
	return string(out), nil
}

// refusePull pulls an image none of whose variants fits.
func (d *demo) refusePull(ctx context.Context) error {
	repo, err := d.pushUnfit(ctx)
	if err != nil {
		return err
	}
	ref := repo.Ref("latest")
	d.step("pulling %s, which needs a kernel that is not there; what `kubectl describe pod` shows:", ref)
	_, err = d.kubelet.Pull(ctx, ref, stack.PullOptions{})
	return d.refused(err, fmt.Sprintf("Failed to pull image %q: ", ref), "imagefit: no variant of "+ref+" fits this node: ")
}

// refuseCreate creates a container of an image that is on the node all the
// same: a pod of an exempt namespace brought it.
func (d *demo) refuseCreate(ctx context.Context) error {
	ref := d.registry.Repo("unfit").Ref("latest")
	id, err := d.kubelet.Pull(ctx, ref, stack.PullOptions{Namespace: "kube-system"})
	if err != nil {
		return fmt.Errorf("pull for an exempt namespace: %w", err)
	}
	d.step("it came with a pod of kube-system, which is exempt; a pod of default that wants it now:")
	_, err = d.kubelet.RunContainer(ctx, ref, stack.PodOptions{ImageRef: id})
	return d.refused(err, "Error: ", "imagefit: "+ref+" does not fit this node: ")
}

func (d *demo) pushUnfit(ctx context.Context) (*stack.Repo, error) {
	repo := d.registry.Repo("unfit")
	v := variant{name: "unfit", platform: runtime.GOARCH, needs: `"kernel-version.major": 99`}
	_, manifests, err := repo.PushIndex(ctx, "latest", v.image())
	if err != nil {
		return nil, err
	}
	return repo, attach(ctx, repo, manifests[0], v.needs)
}

// refused shows a refusal as an event of the pod, and is an error where there
// was none or where it is not ours.
func (d *demo) refused(err error, prefix, want string) error {
	if err == nil {
		return fmt.Errorf("nothing was refused, expected %q", want)
	}
	message := status.Convert(err).Message()
	fmt.Fprintln(d.out)
	d.show("Warning  Failed  kubelet  " + prefix + message + "\n")
	if !strings.Contains(message, want) {
		return fmt.Errorf("the refusal is not ours, expected %q", want)
	}
	return nil
}
