package integration

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/integration/stack"
)

// offer is an image of which one variant fits best, one is what the runtime takes
// unasked, and one would be chosen by who does not know what it needs.
type offer struct {
	repo      *stack.Repo
	ref       string
	index     ocispec.Descriptor
	manifests map[string]ocispec.Descriptor // by variant
	ids       map[string]string             // the variants by image id
}

// The variants of an offer.
const (
	taken = "amd64"    // by the runtime, unasked
	bad   = "amd64/v3" // looks best, and needs what the node lacks
	best  = "amd64/v2" // fits
)

func (f *fit) offer(t testing.TB, name string) offer {
	t.Helper()
	o := f.offerOf(t, name, taken, bad, best)
	needs(t, o.repo, o.manifests[bad], `"cpu-cpuid.AMXINT8": true`)
	needs(t, o.repo, o.manifests[best], `"cpu-cpuid.AVX2": true`)
	return o
}

// offerOf offers these variants, without artifacts.
func (f *fit) offerOf(t testing.TB, name string, of ...string) offer {
	t.Helper()
	images := variants(of...)
	for i := range images {
		images[i].Variant = name + " " + of[i] // so that no two offers share an image id
	}
	repo, index, manifests := f.push(t, name, images...)
	return offerIn(t, repo, index, manifests, of)
}

// offerIn is the offer of what was pushed.
func offerIn(t testing.TB, repo *stack.Repo, index ocispec.Descriptor, manifests []ocispec.Descriptor, of []string) offer {
	t.Helper()
	o := offer{repo, repo.Ref("1"), index, map[string]ocispec.Descriptor{}, map[string]string{}}
	for i, manifest := range manifests {
		id, err := repo.Config(t.Context(), manifest)
		if err != nil {
			t.Fatal(err)
		}
		o.manifests[of[i]], o.ids[id.String()] = manifest, of[i]
	}
	return o
}

// witness watches over what must hold whatever goes wrong.
type witness struct {
	*fit
	offers  []offer
	secrets []string

	mu     sync.Mutex
	pulled map[string]string // what PullImage returned last, by reference
}

func watch(f *fit, offers ...offer) *witness {
	return &witness{fit: f, offers: offers, pulled: map[string]string{}}
}

// ensure does with an image what the kubelet does before it creates a container.
// What PullImage says is there must be found under its name in that moment, with
// its own user: the kubelet would run the container as root.
func (w *witness) ensure(t testing.TB, ref string, opts stack.PullOptions) (string, error) {
	t.Helper()
	id, err := w.cri.Pull(context.WithoutCancel(t.Context()), ref, opts)
	if err != nil {
		return "", err
	}
	w.mu.Lock()
	w.pulled[ref] = id
	w.mu.Unlock()
	wantID(t, w.cri, id, ref)
	return id, nil
}

// wantVariant pulls an offer and checks which of its variants that gives.
func (w *witness) wantVariant(t testing.TB, o offer, variant string) {
	t.Helper()
	id, err := w.ensure(t, o.ref, stack.PullOptions{})
	if err != nil {
		t.Fatalf("pull %s: %v", o.ref, err)
	}
	if got := o.ids[id]; got != variant {
		t.Errorf("pulled %s of %s, want %s", got, o.ref, variant)
	}
}

// wantRun runs a pod of an offer that was pulled.
func (w *witness) wantRun(t testing.TB, o offer, id string) {
	t.Helper()
	w.wantRuns(t, o.ref, id, strings.TrimSuffix(strings.TrimPrefix(o.ref, w.registry.Host+"/"), ":1")+" "+o.ids[id])
}

// wantSound checks what must hold at any time.
func (w *witness) wantSound(t testing.TB) {
	t.Helper()
	w.wantRecords(t)
	w.wantQuietLogs(t)
	w.wantNoSecrets(t)
}

// wantRecords checks that no name resolves to a variant that does not fit, that all
// that was reported as pulled resolves, and everything to an image with its own user.
func (w *witness) wantRecords(t testing.TB) {
	t.Helper()
	records := w.records(t)
	for name, target := range records {
		for _, o := range w.offers {
			if target == o.manifests[bad].Digest {
				t.Errorf("%s points at the variant of %s that does not fit", name, o.ref)
			}
			if (name == o.ref || name == o.repo.DigestRef(o.index)) && !slices.Contains([]digest.Digest{o.manifests[best].Digest, o.index.Digest}, target) {
				t.Errorf("%s points at %s: neither what fits nor what the runtime would have recorded", name, target)
			}
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for name := range records {
		if !strings.HasPrefix(name, "sha256:") {
			wantUser(t, w.containerd.CRI, name)
		}
	}
	cri := w.containerd.CRI
	if w.Proxy.Running() { // which keeps some of the names
		cri = w.cri
	}
	for ref := range w.pulled {
		wantUser(t, cri, ref)
	}
}

func wantUser(t testing.TB, cri *stack.CRI, ref string) {
	t.Helper()
	image, err := cri.Status(context.WithoutCancel(t.Context()), ref)
	if err != nil {
		t.Errorf("%s was pulled: %v", ref, err)
	} else if image.GetUid().GetValue() != 1000 {
		t.Errorf("user of %s is %v, want 1000", ref, image.GetUid())
	}
}

func (w *witness) wantQuietLogs(t testing.TB) {
	t.Helper()
	for _, process := range []*stack.Process{w.Proxy, w.Plugin} {
		log, err := os.ReadFile(process.Log)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
		for _, sign := range []string{"panic", "fatal error:", "goroutine ", "DATA RACE"} {
			if at := strings.Index(string(log), sign); at >= 0 {
				t.Errorf("%s says\n%.2000s", process.Log, log[at:])
			}
		}
	}
}

// wantNoSecrets looks for credentials in all that the daemons write.
func (w *witness) wantNoSecrets(t testing.TB) {
	t.Helper()
	if len(w.secrets) == 0 {
		return
	}
	paths := []string{w.Proxy.Log, w.Plugin.Log}
	_ = filepath.WalkDir(w.StateDir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			paths = append(paths, path)
		}
		return nil // files come and go as we look
	})
	for _, path := range paths {
		text := head(path)
		for _, secret := range w.secrets {
			if strings.Contains(text, secret) {
				t.Errorf("%s holds the credential %q", path, secret)
			}
		}
	}
}

// head is what a file begins with, as some have no end.
func head(path string) string {
	file, err := os.Open(path)
	if err != nil {
		return "" // files come and go as we look
	}
	defer file.Close()
	text, _ := io.ReadAll(io.LimitReader(file, 16<<20))
	return string(text)
}

// burden is what a process holds.
type burden struct{ fds, goroutines, rss int }

func (b burden) String() string {
	return fmt.Sprintf("%d file descriptors, %d goroutines, %d KiB", b.fds, b.goroutines, b.rss>>10)
}

// burden is what the proxy uses when it is idle and registries keep no
// connection.
func (w *witness) burden(t testing.TB) burden {
	t.Helper()
	w.registry.HangUp()
	proc := filepath.Join("/proc", strconv.Itoa(w.Proxy.Pid()))
	fds, err := os.ReadDir(filepath.Join(proc, "fd"))
	if err != nil {
		t.Fatal(err)
	}
	metrics := w.metrics(t)
	return burden{fds: len(fds), goroutines: int(metrics["go_goroutines"]), rss: int(metrics["process_resident_memory_bytes"])}
}

// atRest is what the proxy holds once that changes no more.
func (w *witness) atRest(t testing.TB) burden {
	t.Helper()
	var last burden
	same := 0
	for deadline := time.Now().Add(10 * time.Second); same < 4 && time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		now := w.burden(t)
		if same++; now.fds != last.fds || now.goroutines != last.goroutines {
			same = 0
		}
		last = now
	}
	return last
}

// wantNoMore waits until the proxy holds no more than before.
func (w *witness) wantNoMore(t testing.TB, before burden) {
	t.Helper()
	var now burden
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if now = w.burden(t); now.fds <= before.fds && now.goroutines <= before.goroutines {
			return
		}
	}
	t.Errorf("the proxy holds %s; before it were %s", now, before)
}

// metrics are the values without labels that the proxy shows.
func (w *witness) metrics(t testing.TB) map[string]float64 {
	t.Helper()
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", w.HTTP)
	}}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://proxy/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	reply, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	values := map[string]float64{}
	for lines := bufio.NewScanner(reply.Body); lines.Scan(); {
		if name, text, found := strings.Cut(lines.Text(), " "); found {
			if value, err := strconv.ParseFloat(text, 64); err == nil {
				values[name] = value
			}
		}
	}
	return values
}

// restartProxy ends the proxy and starts it again.
func (w *witness) restartProxy(t *testing.T) {
	t.Helper()
	if err := w.Proxy.Stop(drainTime); err != nil {
		t.Fatal(err)
	}
	if err := w.StartProxy(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.awaitRuntime(t)
}
