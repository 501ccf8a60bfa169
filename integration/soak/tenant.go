package soak

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/imagefit/imagefit/integration/stack"
	"github.com/imagefit/imagefit/pkg/decisionlog"
)

const (
	// callLimit is longer than any call may take, whatever the trouble.
	callLimit = 2 * time.Minute
	// maxPods is how many pods a tenant lets run.
	maxPods = 3
	// settle is how long before a call trouble still matters: what a daemon has just learned
	// is not yet everywhere.
	settle = 3 * time.Second
	// listed is how long a list of referrers may serve: ten times its TTL, and a pull.
	listed = 25 * time.Second
	// selectTimeout is how long a decision may take.
	selectTimeout = 5 * time.Second
	// exempt is a namespace whose pods are never refused.
	exempt = "kube-system"
)

// tenant pulls, runs, moves and removes images of its own, one operation after the other.
type tenant struct {
	*soak
	name   string
	random *rand.Rand
	images []*image
	pods   []string // that run, the oldest first
	made   int
}

func (s *soak) newTenant(ctx context.Context, number int) (*tenant, error) {
	t := &tenant{soak: s, name: fmt.Sprintf("t%d", number), random: s.randomOf(uint64(number) + 1)}
	for i := range 4 {
		image, err := newImage(ctx, s.node.registry, fmt.Sprintf("%s/app%d", t.name, i), i == 3)
		if err != nil {
			return nil, err
		}
		t.images = append(t.images, image)
	}
	return t, nil
}

// step does one operation.
func (t *tenant) step(ctx context.Context) {
	i := t.images[t.random.IntN(len(t.images))]
	switch dice := t.random.IntN(100); {
	case dice < 8:
		if err := i.move(ctx); err != nil && ctx.Err() == nil {
			t.violated("%s: move: %v", i.ref, err) // the soak's own mistake
		}
		t.count("tag moved")
	case dice < 13 && i.pulled != "":
		t.remove(ctx, i)
	case dice < 45 || i.pulled == "":
		t.pull(ctx, i)
	case dice < 55:
		t.resolve(ctx, i)
	default:
		t.run(ctx, i)
	}
}

// podName is a name that no pod had: records are found by it.
func (t *tenant) podName() string {
	t.made++
	return fmt.Sprintf("%s-%d", t.name, t.made)
}

// pull pulls an image as the kubelet does before it creates a container of it.
func (t *tenant) pull(ctx context.Context, i *image) {
	pod := t.podName()
	opts := stack.PullOptions{Pod: pod}
	if i.unfit { // the pod is never refused, so that the image comes to the node
		opts.Namespace = exempt
	}
	begin, avx2 := time.Now(), t.node.avx2.Load()
	call, cancel := context.WithTimeout(ctx, callLimit)
	ended := t.weather.slow(selectTimeout)
	id, err := t.node.cri.Pull(call, i.ref, opts)
	ended()
	cancel()
	// A list of referrers that was a lie serves a pull once more after it is out of date.
	trouble := t.weather.during(begin.Add(-settle), time.Now()) | t.weather.during(begin.Add(-listed), time.Now())&registryLies
	variant, wrong := i.variants[id], false
	switch {
	case err != nil:
		t.failed("pull", i.ref, err, trouble, runtimeAway|proxyAway|registryAway)
		if trouble&registryLies != 0 { // containerd moves the name to what is no image, and fails then
			i.pulled = ""
		}
		return
	case variant == "":
		t.violated("pull %s gives %s, which is none of its variants", i.ref, id)
	case i.unfit:
		t.count("pulled, exempt")
	case !slices.Contains(i.may(trouble, avx2), variant):
		wrong = true
		t.wrongVariant(pod, fmt.Sprintf("pull %s for %s gives %s, want one of %v (trouble: %s)", i.ref, pod, variant, i.may(trouble, avx2), trouble))
	default:
		t.count("pulled " + variant)
	}
	if !i.current[id] && trouble == 0 {
		t.violated("pull %s gives %s, which the tag was before it moved", i.ref, variant)
	}
	i.pulled, i.at, i.known = id, time.Now(), trouble&(diskBad|registryAway|registryPartly|registryLies|proxyAway|runtimeAway) == 0
	i.doubtful = trouble&(registryAway|registryPartly|registryLies) != 0
	t.wantResolved(ctx, i)
	if trouble&(diskBad|proxyAway) == 0 && !wrong {
		t.wantRecord(decisionlog.Proxy, pod)
	}
}

// wrongVariant notes that another variant was pulled than may be, with what the proxy's record says of it.
func (t *tenant) wrongVariant(pod, what string) {
	at := time.Now()
	t.checks.Go(func() {
		why := "without a record"
		if records, err := t.journal.of(context.Background(), decisionlog.Proxy, pod); err == nil {
			why = fmt.Sprintf("%s: %s", records[0].ReasonCode, records[0].Reason)
		}
		t.violated("at %.1fs: %s: %s", at.Sub(t.Begin).Seconds(), what, why)
	})
}

// failed notes that an operation failed, which the trouble must allow.
func (t *tenant) failed(what, ref string, err error, during, allowed trouble) {
	switch {
	case errors.Is(err, context.Canceled) || status.Code(err) == codes.Canceled:
	case status.Code(err) == codes.DeadlineExceeded:
		t.violated("%s %s takes more than %s: %v (trouble: %s)", what, ref, callLimit, err, during)
	case during&allowed == 0:
		t.violated("%s %s: %v (trouble: %s)", what, ref, err, during)
	default:
		t.count(what + " failed")
		wait(context.Background(), 200*time.Millisecond) // as the kubelet, which does not try again at once
	}
}

// wantRecord checks, without waiting for it, that the decision log has a record, and what else is said
// of the first one.
func (t *tenant) wantRecord(program, pod string, check ...func(decisionlog.Record)) {
	t.checks.Go(func() {
		records, err := t.journal.of(context.Background(), program, pod)
		if err != nil {
			t.violated("%v", err)
			return
		}
		for _, c := range check {
			c(records[0])
		}
		t.journal.forget(pod)
	})
}

// resolve checks that what was pulled resolves.
func (t *tenant) resolve(ctx context.Context, i *image) {
	t.wantResolved(ctx, i)
	t.count("resolved")
}

// wantResolved checks that the reference resolves to what was pulled, with its own user:
// the kubelet would run it as root otherwise.
func (t *tenant) wantResolved(ctx context.Context, i *image) {
	begin := time.Now()
	call, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	found, err := t.node.cri.Status(call, i.ref)
	trouble := t.weather.during(begin.Add(-settle), time.Now())
	switch {
	case errors.Is(err, stack.ErrNoImage):
		t.violated("%s was pulled as %s and does not resolve (trouble: %s)", i.ref, i.variants[i.pulled], trouble)
	case err != nil:
		t.failed("resolve", i.ref, err, trouble, runtimeAway|proxyAway)
	case found.GetId() != i.pulled:
		t.violated("%s resolves to %s, pulled was %s (trouble: %s)", i.ref, i.variants[found.GetId()], i.variants[i.pulled], trouble)
	case found.GetUid().GetValue() != user:
		t.violated("user of %s is %v, want %d", i.ref, found.GetUid(), user)
	}
}

// remove removes an image as the kubelet's image GC does.
func (t *tenant) remove(ctx context.Context, i *image) {
	begin := time.Now()
	call, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	err := t.node.cri.Remove(call, i.ref)
	if err != nil {
		t.failed("remove", i.ref, err, t.weather.during(begin.Add(-settle), time.Now()), runtimeAway|proxyAway)
	}
	i.pulled = "" // also after a failure it may be gone
	if err != nil {
		return
	}
	t.count("removed")
	if _, err := t.node.cri.Status(call, i.ref); !errors.Is(err, stack.ErrNoImage) {
		if trouble := t.weather.during(begin.Add(-settle), time.Now()); trouble&(runtimeAway|proxyAway) == 0 {
			t.violated("%s was removed, and its status is %v", i.ref, err)
		}
	}
}

// run runs a pod of what was pulled.
func (t *tenant) run(ctx context.Context, i *image) {
	if len(t.pods) >= maxPods {
		t.end(ctx)
	}
	pod, variant := t.podName(), i.variants[i.pulled]
	begin, avx2 := time.Now(), t.node.avx2.Load()
	call, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	container, err := t.node.cri.RunContainer(call, i.ref, stack.PodOptions{Name: pod, ImageRef: i.pulled})
	trouble := t.weather.during(begin.Add(-settle), time.Now())
	fits, sure := i.fits(variant, avx2), trouble&factsMoving == 0
	known := i.known && begin.Sub(i.at) > settle && !t.weather.lostSince(i.at) // lost also while it was created
	switch {
	case err == nil:
		t.pods = append(t.pods, pod)
		t.count("container created")
		if fits || !sure {
			t.wantAdmitted(pod, trouble)
		} else {
			t.unfitCreated(i, pod, trouble, known && (t.node.required || trouble&pluginAway == 0))
		}
		t.wantOutput(call, i, container)
	case strings.Contains(err.Error(), "does not fit this node"):
		if fits && sure {
			t.violated("a container of %s (%s) is refused: %v (trouble: %s)", i.ref, variant, err, trouble)
		}
		t.count("container refused")
		t.journal.forget(pod)
	default:
		t.failed("run", i.ref, err, trouble, runtimeAway|proxyAway|pluginAway)
	}
}

// wantAdmitted checks the record of a container that was created.
func (t *tenant) wantAdmitted(pod string, during trouble, check ...func(decisionlog.Record)) {
	if during&(diskBad|pluginAway) == 0 {
		t.wantRecord(decisionlog.Plugin, pod, check...)
	}
}

// unfitCreated checks a container that does not fit and was created all the same. The only excuse is
// that what the image needs was not known, and then the record says so.
func (t *tenant) unfitCreated(i *image, pod string, during trouble, known bool) {
	if known {
		t.violated("a container of %s that does not fit is created: %s (trouble: %s)", i.ref, pod, during)
		return
	}
	t.count("container created unchecked")
	ref, doubtful := i.ref, i.doubtful
	t.wantAdmitted(pod, during, func(r decisionlog.Record) {
		if r.ReasonCode == "" && !doubtful {
			t.violated("a container of %s that does not fit is created, and recorded as checked: %+v", ref, r)
		}
	})
}

// wantOutput checks what a container says of itself.
func (t *tenant) wantOutput(ctx context.Context, i *image, container string) {
	begin := time.Now()
	out, err := t.node.cri.WaitOutput(ctx, container)
	if err != nil {
		t.failed("read the output of", i.ref, err, t.weather.during(begin.Add(-settle), time.Now()), runtimeAway)
		return
	}
	name, _, _ := strings.Cut(strings.TrimPrefix(out, "variant="), " ")
	if !strings.HasPrefix(name, i.name+".") || !strings.HasSuffix(name, "."+i.variants[i.pulled]) || !strings.HasSuffix(out, fmt.Sprintf(" uid=%d", user)) {
		t.violated("a container of %s (%s) says %q", i.ref, i.variants[i.pulled], out)
	}
}

// end ends the oldest pod.
func (t *tenant) end(ctx context.Context) {
	oldest := t.pods[0]
	call, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	begin := time.Now()
	err := t.node.containerd.CRI.RemovePods(call, func(name string) bool { return name == oldest })
	trouble := t.weather.during(begin.Add(-settle), time.Now())
	switch {
	case status.Code(err) == codes.DeadlineExceeded && trouble&(runtimeAway|pluginAway) != 0:
		t.count("end pod hung") // containerd's own fault, see docs/soak.md
	case err != nil:
		t.failed("end pod", oldest, err, trouble, runtimeAway)
		return
	}
	t.pods = t.pods[1:]
	t.count("pod ended")
}
