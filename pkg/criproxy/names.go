package criproxy

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/internal/throttle"
	"github.com/imagefit/imagefit/pkg/containerd/images"
	"github.com/imagefit/imagefit/pkg/cri"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/names"
)

// Records are the runtime's own records of images, as package images has them. On a
// runtime without them calls fail with codes.Unimplemented.
type Records interface {
	// Image returns the image that the CRI shows under a name or an id, nil for none.
	// That works on every runtime.
	Image(ctx context.Context, name string) (*runtimeapi.Image, error)
	// Point makes a reference resolve to a choice.
	Point(ctx context.Context, c images.Choice) error
	// Records lists all.
	Records(ctx context.Context) ([]images.Record, error)
	// TargetOf returns what a record points at, "" where there is none.
	TargetOf(ctx context.Context, name string) (digest.Digest, error)
	// Remove removes a record that points at the target.
	Remove(ctx context.Context, name string, target digest.Digest) error
	// KeepIndex keeps an index in the store as long as a manifest of it.
	KeepIndex(ctx context.Context, manifest, index digest.Digest) error
	// ConfigOf returns the image id of a manifest on the node.
	ConfigOf(ctx context.Context, manifest digest.Digest) (digest.Digest, error)
	// DescriptorOf returns the descriptor of a manifest on the node.
	DescriptorOf(ctx context.Context, manifest digest.Digest) (ocispec.Descriptor, error)
}

// NamesOptions are what Names are made of.
type NamesOptions struct {
	Runtime Runtime
	Records Records
	Keeper  *names.Keeper
	// ByProxy reports whether the proxy keeps tags, and why. Otherwise they are records
	// of the runtime.
	ByProxy func() (byProxy bool, why string)
	// Untags reports whether the runtime removes a name and leaves the image, as CRI-O
	// does; containerd removes the image with all of its names.
	Untags func() bool
	// FullName, where set, returns what the runtime resolves a short name to, or the name
	// itself.
	FullName func(reference string) string
	// IsPinned, where set, reports whether the image of a name is not to be removed for
	// want of space.
	IsPinned func(reference string) bool
	Log      *slog.Logger
}

// Names gives images the names that they were asked for by. A name with the digest of an
// index is always the proxy's: a record of the runtime under it would not be true. So
// are tags where the runtime has no records, or others read them.
type Names struct {
	NamesOptions
	byProxy   atomic.Pointer[keeping]
	moving    sync.RWMutex // locked while names move to another keeper, read-locked while one is given
	naming    sync.Mutex   // held while a name is kept, or is found to be of no image
	consider  chan struct{}
	notLoaded throttle.Throttle
}

// keeping is who keeps tags, and why.
type keeping struct {
	byProxy bool
	why     string
}

// NewNames returns Names.
func NewNames(o NamesOptions) *Names {
	n := &Names{NamesOptions: o, consider: make(chan struct{}, 1)}
	n.decide()
	return n
}

// decide finds out who keeps tags from now on, and reports whether that changed.
func (n *Names) decide() (changed bool) {
	byProxy, why := n.ByProxy()
	old := n.byProxy.Swap(&keeping{byProxy, why})
	return old == nil || old.byProxy != byProxy
}

// KeptBy returns who keeps tags, "proxy" or "runtime", and why.
func (n *Names) KeptBy() (keeper, why string) {
	k := n.byProxy.Load()
	if k.byProxy {
		return "proxy", k.why
	}
	return "runtime", k.why
}

// Shared reports whether others may read the runtime's content and records.
func (n *Names) Shared() bool { return n.byProxy.Load().byProxy }

// given is a choice that is to be named.
type given struct {
	decision  *decision.Decision
	candidate int
	image     string // its id
	namespace string
	pod       string
}

func (g given) name(ref string) names.Name {
	return names.Name{
		Reference: ref, ImageID: g.image, Manifest: g.decision.Candidates[g.candidate].Digest, Index: g.decision.Index,
		Since: time.Now().UTC(), Namespace: g.namespace, Pod: g.pod,
	}
}

// Give makes the reference of a decision a name of the image that was chosen, as well as
// the digest of the index. When it returns, the CRI resolves both.
func (n *Names) Give(ctx context.Context, g given) error {
	if err := n.Keeper.Load(ctx); err != nil {
		return err
	}
	n.moving.RLock()
	defer n.moving.RUnlock()
	d, shared := g.decision, n.Shared()
	byIndex := d.Repository + "@" + d.Index.String()
	if before := n.replaced(ctx, g, byIndex); before.Reference != "" {
		if err := n.Keeper.Keep(ctx, before); err != nil {
			n.Log.Warn("cannot name the image that had the name before", "reference", byIndex, "image", before.ImageID, "error", err)
		}
	}
	if err := n.keep(ctx, n.impliedBy(g, byIndex)); err != nil {
		return err
	}
	if shared {
		if err := n.Records.KeepIndex(ctx, d.Candidates[g.candidate].Digest, d.Index); err != nil && !isUnimplemented(err) {
			n.Log.Warn("cannot keep the index of an image; others cannot fetch it here", "reference", d.Reference, "error", err)
		}
	}
	if d.Reference == byIndex {
		return nil
	}
	if !shared {
		err := n.Records.Point(ctx, images.Choice{
			Reference: d.Reference, Index: d.Index, Manifest: d.Descriptor(g.candidate), ImageID: g.image,
		})
		if !isUnimplemented(err) {
			if err == nil {
				n.forget(ctx, d.Reference)
			}
			return err
		}
	}
	if err := n.keep(ctx, g.name(d.Reference)); err != nil {
		return err
	}
	n.dropStale(ctx, d.Reference, d.Index)
	n.untag(ctx, d.Reference, g.image)
	return nil
}

// impliedBy is the name by the digest of the index, which is implied unless something was
// pulled by it.
func (n *Names) impliedBy(g given, byIndex string) names.Name {
	name := g.name(byIndex)
	old, kept := n.Keeper.Get(byIndex)
	name.Implied = g.decision.Reference != byIndex && (!kept || old.ImageID != g.image || old.Implied)
	return name
}

// keep keeps a name of an image that is still there afterwards.
func (n *Names) keep(ctx context.Context, name names.Name) error {
	n.naming.Lock()
	err := n.Keeper.Keep(ctx, name)
	n.naming.Unlock()
	if err != nil || isContainerds(name.ImageID) { // whose own record of the image has it
		return err
	}
	image, err := n.Records.Image(ctx, name.ImageID)
	if err == nil && image.GetId() == "" {
		err = fmt.Errorf("look up image %s, which was named %s: %w", name.ImageID, name.Reference, images.ErrRemoved)
	}
	return err
}

// replaced returns a name, by the digest of its manifest, for the image of the same index
// that the runtime has under a name that is about to be another's. Without it that image
// would be left with none.
func (n *Names) replaced(ctx context.Context, g given, ref string) names.Name {
	image, err := n.Records.Image(ctx, ref)
	if err != nil || image.GetId() == "" || image.GetId() == g.image {
		return names.Name{}
	}
	for _, c := range g.decision.Candidates {
		if config, err := n.Records.ConfigOf(ctx, c.Digest); err == nil && config.String() == image.GetId() {
			return names.Name{
				Reference: g.decision.Repository + "@" + c.Digest.String(), ImageID: image.GetId(), Manifest: c.Digest, Since: time.Now().UTC(),
			}
		}
	}
	return names.Name{}
}

// Forwarded updates the names after the runtime pulled a reference as it came: it is the
// runtime's own record from now on.
func (n *Names) Forwarded(ctx context.Context, ref string, d *decision.Decision, imageID string) {
	if err := n.Keeper.Load(ctx); err != nil || n.Keeper.Len() == 0 {
		return
	}
	named := n.normalised(ref)
	if named == nil {
		return
	}
	n.forget(ctx, named.String())
	if d != nil && d.Index != "" {
		n.forgetResolved(ctx, d.Repository+"@"+d.Index.String())
	}
	digested, ok := named.(reference.Digested)
	if !ok || !n.hides(named.String(), imageID) {
		return
	}
	name := names.Name{Reference: named.String(), ImageID: imageID, Manifest: digested.Digest(), Since: time.Now().UTC()}
	if err := n.Keeper.Keep(ctx, name); err != nil {
		n.Log.Warn("cannot keep the name of an image, it is not listed under it", "reference", ref, "error", err)
	}
}

// forgetResolved forgets a name that the runtime resolves by itself. It may have pulled
// another index than was decided about.
func (n *Names) forgetResolved(ctx context.Context, ref string) {
	if _, kept := n.Keeper.Get(ref); !kept {
		return
	}
	if image, err := n.Records.Image(ctx, ref); err == nil && image.GetId() != "" {
		n.forget(ctx, ref)
	}
}

func (n *Names) forget(ctx context.Context, ref string) {
	if err := n.Keeper.Forget(ctx, ref); err != nil {
		n.Log.Warn("cannot forget the name of an image", "error", err)
	}
}

// gone forgets the names of an image that the runtime does not show, unless it is there
// and will be shown, as right after a restart or when it is pulled again meanwhile. The
// error is that it cannot tell.
func (n *Names) gone(ctx context.Context, imageID string) error {
	n.naming.Lock()
	defer n.naming.Unlock()
	there, err := n.hasImage(ctx, imageID)
	if there || err != nil {
		return err
	}
	for _, name := range n.Keeper.Of(imageID) {
		n.forget(ctx, name.Reference)
	}
	return nil
}

func (n *Names) hasImage(ctx context.Context, imageID string) (bool, error) {
	target, err := n.Records.TargetOf(ctx, imageID)
	if !isUnimplemented(err) {
		return target != "", err
	}
	image, err := n.Records.Image(ctx, imageID)
	return image.GetId() != "", err
}

func frameOf(m proto.Message) (*cri.Frame, error) {
	body, err := proto.Marshal(m)
	if err != nil {
		return nil, status.Errorf(codes.Internal, "imagefit: encode a call: %v", err)
	}
	return cri.NewFrame(body), nil
}

// isContainerds reports whether an image id is one of containerd's, and not of CRI-O's.
func isContainerds(imageID string) bool { return strings.HasPrefix(imageID, "sha256:") }

// isTag reports whether a name has a tag and no digest.
func isTag(ref string) bool { return !strings.Contains(ref, "@") && !strings.HasPrefix(ref, "sha256:") }
