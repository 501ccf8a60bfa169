package criproxy

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/containerd/platforms"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/pkg/containerd/images"
	"github.com/imagefit/imagefit/pkg/cri"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/policy"
	"github.com/imagefit/imagefit/pkg/registry/index"
)

// maxRetries is how often a candidate that was removed meanwhile is pulled again.
const maxRetries = 4

// pullCandidate pulls candidate i by its digest and makes the reference resolve to it,
// again where that is removed meanwhile.
func (p *pull) pullCandidate(ctx context.Context, pl plan, i int) outcome {
	d := pl.decision
	failed := outcome{plan: pl, action: policy.Failed, candidate: i}
	request, err := p.requestOf(d, i)
	if err != nil {
		failed.err = err
		return failed
	}
	for retry := 0; ; retry++ {
		answer := p.Runtime.Call(ctx, PullImage, request)
		if answer.Err != nil {
			// containerd says only of what the registry does not have that it failed to
			// pull it; the rest was removed during the pull.
			unavailable := strings.HasPrefix(status.Convert(answer.Err).Message(), failedToPull)
			if status.Code(answer.Err) == codes.NotFound && !unavailable && retry < maxRetries {
				continue
			}
			failed.answer, failed.err, failed.next = answer, answer.Err, after(ctx, answer.Err)
			if answer = p.onNode(ctx, d, i, failed); answer == nil {
				return failed
			}
		}
		image, err := p.pulled(ctx, answer)
		if err == nil {
			if failed.err = p.contradiction(ctx, d.Descriptor(i), image); failed.err != nil {
				answer.Message.Free()
				failed.next = nextCandidate
				return failed
			}
			err = p.Names.Give(ctx, given{
				decision: d, candidate: i, image: image, namespace: p.pod.Namespace, pod: p.req.GetSandboxConfig().GetMetadata().GetName(),
			})
		}
		if err == nil {
			p.remember(image, d, i)
			return outcome{plan: pl, action: policy.Pulled, candidate: i, image: image, answer: answer}
		}
		answer.Message.Free()
		if !errors.Is(err, images.ErrRemoved) || retry == maxRetries {
			return p.withoutRecord(ctx, failed, err)
		}
	}
}

// pulled returns the id of the image that the runtime answered a pull with. CRI-O up to
// 1.35 answers with a name.
func (p *pull) pulled(ctx context.Context, answer *cri.Answer) (string, error) {
	id, err := imageRef(answer)
	if err != nil || isContainerds(id) {
		return id, err
	}
	image, err := p.Images.Image(ctx, id)
	if err == nil && image.GetId() == "" {
		err = fmt.Errorf("look up image %s, which was pulled: %w", id, images.ErrRemoved)
	}
	return image.GetId(), err
}

// denied are words of registries that do not give an image to these credentials, and of
// runtimes whose policy or verifier does not allow it.
var denied = regexp.MustCompile(`(?i)\b(401|403|unauthorized|forbidden|denied|authorization|insufficient_scope|` +
	`rejected|blocked|SignatureValidationFailed|signature|verifier)\b`)

// onNode answers a pull that failed where the runtime has the variant from an earlier
// one, or returns nil. The runtime by itself fetches nothing either when a reference
// resolves to what it has. A registry, policy or verifier that denies the variant is not
// overruled.
func (p *pull) onNode(ctx context.Context, d *decision.Decision, i int, failed outcome) *cri.Answer {
	if failed.next != nextCandidate || denied.MatchString(failed.err.Error()) {
		return nil
	}
	image, err := p.Images.Image(ctx, d.Repository+"@"+d.Descriptor(i).Digest.String())
	if err != nil || image.GetId() == "" {
		return nil
	}
	frame, err := frameOf(&runtimeapi.PullImageResponse{ImageRef: image.GetId()})
	if err != nil {
		return nil
	}
	p.log.Warn("cannot pull the best variant again, using the one on the node", "variant", d.Label(i), "error", failed.err)
	return &cri.Answer{Message: *frame}
}

// requestOf is the request with a candidate's digest in place of the reference.
func (p *pull) requestOf(d *decision.Decision, i int) (*cri.Frame, error) {
	req := proto.CloneOf(p.req)
	req.Image.Image = d.Repository + "@" + d.Descriptor(i).Digest.String()
	return frameOf(req)
}

// contradiction is the error of a variant whose config names another platform than its
// entry in the index: containerd unpacks by the one, the choice was made by the other.
// What the runtime does not show is not compared.
func (p *pull) contradiction(ctx context.Context, entry ocispec.Descriptor, imageID string) error {
	actual, known := p.platformOf(ctx, imageID)
	if entry.Platform == nil || !known || agree(*entry.Platform, actual) {
		return nil
	}
	return status.Errorf(codes.Unknown, "imagefit: the config is for %s, but the index entry is for %s",
		index.PlatformName(&actual), index.PlatformName(entry.Platform))
}

// platformOf returns the platform in the config of an image, which is its image id in
// containerd.
func (p *pull) platformOf(ctx context.Context, imageID string) (_ ocispec.Platform, known bool) {
	config, err := digest.Parse(imageID)
	if err != nil {
		return ocispec.Platform{}, false
	}
	platform, err := p.Images.PlatformOf(ctx, config)
	return platform, err == nil
}

// agree reports whether what the config of an image names can run wherever its index
// entry says. Many configs have no variant.
func agree(entry, config ocispec.Platform) bool {
	if config.OS == "" && config.Architecture == "" {
		return true
	}
	if config.Variant == "" {
		config.Variant = entry.Variant
	}
	entry, config = platforms.Normalize(entry), platforms.Normalize(config)
	entry.OSFeatures, config.OSFeatures, config.OSVersion = nil, nil, entry.OSVersion
	return entry.OS == config.OS && entry.Architecture == config.Architecture && platforms.Only(entry).Match(config)
}

// withoutRecord is the outcome when a candidate was pulled but the reference does not
// resolve to it. After a reply the kubelet would run a reference that it cannot look up.
func (p *pull) withoutRecord(ctx context.Context, failed outcome, cause error) outcome {
	if ctx.Err() != nil {
		failed.err = status.FromContextError(ctx.Err()).Err()
		return failed
	}
	p.log.Warn("the runtime does not show the chosen variant", "error", cause)
	failed.err = status.Errorf(codes.Unknown, "imagefit: %s of %s is pulled, but the runtime does not show it under that name",
		failed.plan.decision.Label(failed.candidate), failed.plan.decision.Reference)
	// A record that keeps being removed would be removed after a forwarded pull as well:
	// the client tries again.
	if !errors.Is(cause, images.ErrRemoved) {
		failed.next = nextUnchanged
	}
	return failed
}
