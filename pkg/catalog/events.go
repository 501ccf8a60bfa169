package catalog

import (
	"cmp"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/distribution/reference"
)

const (
	// maxEvents and maxEventsBody bound one notification.
	maxEvents, maxEventsBody = 1_000, 4 << 20
	// maxPending bounds the names that wait for a sync.
	maxPending = 100_000
)

// event is a name that a registry says has changed; without a tag it is something that may
// refer to any image of the repository.
type event struct{ host, repository, tag string }

// notification is what registries send: the events of distribution, CloudEvents of zot and
// Harbor in both modes, and Harbor's own webhooks.
type notification struct {
	Events []struct {
		Action string `json:"action"`
		Target struct {
			MediaType  string `json:"mediaType"`
			Repository string `json:"repository"`
			Tag        string `json:"tag"`
		} `json:"target"`
		Request struct {
			Host string `json:"host"`
		} `json:"request"`
	} `json:"events"`

	Type      string       `json:"type"`
	EventData *harborData  `json:"event_data"`
	Data      *dataOfEvent `json:"data"`
	dataOfEvent
}

// dataOfEvent are the data of a CloudEvent.
type dataOfEvent struct {
	zotData
	harborData
}

type zotData struct {
	Name      string `json:"name"`
	Reference string `json:"reference"`
}

type harborData struct {
	Resources []struct {
		Tag string `json:"tag"`
		URL string `json:"resource_url"`
	} `json:"resources"`
	Repository struct {
		FullName string `json:"repo_full_name"`
	} `json:"repository"`
}

// changesNothing reports whether a type of Harbor's is about something that no catalog
// keeps: pulls, scans, quotas. Where images are replicated they are pushed, too.
func changesNothing(kind string) bool {
	return slices.Contains([]string{
		"PULL_ARTIFACT", "SCANNING_COMPLETED", "SCANNING_FAILED", "SCANNING_STOPPED", "QUOTA_EXCEED", "QUOTA_WARNING", "TAG_RETENTION",
		"harbor.artifact.pulled", "harbor.scan.completed", "harbor.scan.failed", "harbor.scan.stopped", "harbor.quota.exceeded", "harbor.quota.warned",
		"harbor.tag_retention.finished",
	}, kind)
}

// isBlob is the media type under which distribution announces layers and configs.
const isBlob = "application/octet-stream"

// readEvents reads a notification.
func readEvents(body io.Reader, header http.Header) ([]event, error) {
	text, err := io.ReadAll(io.LimitReader(body, maxEventsBody+1))
	switch {
	case err != nil:
		return nil, err
	case len(text) > maxEventsBody:
		return nil, fmt.Errorf("it has more than %d bytes", maxEventsBody)
	}
	var n notification
	if err := json.Unmarshal(text, &n); err != nil {
		return nil, errors.New("it is not JSON")
	}
	data, kind := n.dataOfEvent, cmp.Or(n.Type, header.Get("Ce-Type"))
	if n.Data != nil {
		data = *n.Data
	}
	if n.EventData != nil {
		data.harborData = *n.EventData
	}
	all := slices.Concat(n.ofDistribution(), data.ofZot())
	if !changesNothing(kind) {
		all = append(all, data.ofHarbor()...)
	}
	switch known := len(n.Events) > 0 || kind != "" || data.Name != ""; {
	case !known:
		return nil, errors.New("it is not a notification of distribution, zot or Harbor")
	case len(all) > maxEvents:
		return nil, fmt.Errorf("it has more than %d events", maxEvents)
	}
	return all, nil
}

func (n *notification) ofDistribution() (all []event) {
	for _, e := range n.Events {
		if (e.Action == "push" || e.Action == "delete" || e.Action == "mount") && e.Target.MediaType != isBlob {
			all = append(all, event{e.Request.Host, e.Target.Repository, e.Target.Tag})
		}
	}
	return all
}

func (d *zotData) ofZot() []event {
	if d.Name == "" {
		return nil
	}
	return []event{{"", d.Name, tagOf(d.Reference)}}
}

// ofHarbor reads what Harbor says of an artifact. One without a tag has its digest there.
func (d *harborData) ofHarbor() (all []event) {
	for _, r := range d.Resources {
		host, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(r.URL, "https://"), "http://"), "/")
		all = append(all, event{host, d.Repository.FullName, tagOf(r.Tag)})
	}
	return all
}

// tagOf is a reference that is a tag; of a digest, which may be that of an artifact, it is
// empty.
func tagOf(reference string) string {
	if strings.Contains(reference, ":") {
		return ""
	}
	return reference
}

// Listener takes notifications of registries, and keeps which names the next sync is to
// look at. It makes no request itself.
type Listener struct {
	Catalog *Catalog
	// Secret is what senders prove that they know: as a bearer token, as the password of
	// any user, or as the whole of the header Authorization.
	Secret string
	// Registry is whose notifications these are, where they do not say, or say a name that
	// clients do not use.
	Registry string
	Log      *slog.Logger
}

// ServeHTTP implements http.Handler.
func (l *Listener) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !l.isAllowed(r) {
		w.Header().Set("WWW-Authenticate", "Bearer")
		http.Error(w, "the secret is missing or wrong", http.StatusUnauthorized)
		return
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "send notifications with POST", http.StatusMethodNotAllowed)
		return
	}
	events, err := readEvents(r.Body, r.Header)
	if err != nil {
		http.Error(w, "the notification cannot be read: "+err.Error(), http.StatusBadRequest)
		return
	}
	kept, full, err := l.enqueue(r, events)
	switch {
	case err != nil:
		l.Log.Error("cannot keep a notification", "error", err)
		http.Error(w, "the catalog cannot be written", http.StatusServiceUnavailable)
	case full:
		http.Error(w, "too many names wait for imagefit catalog sync", http.StatusTooManyRequests)
	default:
		l.Log.Info("notification received", "events", len(events), "kept", kept)
		w.WriteHeader(http.StatusAccepted)
	}
}

func (l *Listener) isAllowed(r *http.Request) bool {
	given := r.Header.Get("Authorization")
	if _, password, ok := r.BasicAuth(); ok {
		given = password
	} else if token, ok := strings.CutPrefix(given, "Bearer "); ok {
		given = token
	}
	return l.Secret != "" && subtle.ConstantTimeCompare([]byte(given), []byte(l.Secret)) == 1
}

// enqueue keeps the events about repositories of sources. Others are none of the
// catalog's business, whoever sends them.
func (l *Listener) enqueue(r *http.Request, events []event) (kept int, full bool, err error) {
	sources, err := l.Catalog.Sources(r.Context())
	if err != nil {
		return 0, false, err
	}
	err = l.Catalog.tx(r.Context(), func(t *tx) error {
		kept = 0
		var waiting int
		if _, err := t.get("SELECT COUNT(*) FROM pending", nil, &waiting); err != nil {
			return err
		}
		if full = waiting+len(events) > maxPending; full {
			return nil
		}
		for _, e := range events {
			host := e.host
			if l.Registry != "" {
				host = l.Registry
			}
			named, err := reference.ParseNormalizedNamed(host + "/" + e.repository)
			if err != nil || host == "" || sourceOf(sources, named.Name()) == nil {
				continue
			}
			if e.tag != "" {
				if _, err := reference.WithTag(named, e.tag); err != nil {
					continue
				}
				if isArtifactTag(e.tag) {
					e.tag = ""
				}
			}
			if err := t.exec("INSERT INTO pending (repository, name, at) VALUES (?, ?, ?) ON CONFLICT (repository, name) DO UPDATE SET at = excluded.at",
				named.Name(), e.tag, t.now); err != nil {
				return err
			}
			kept++
		}
		return nil
	})
	return kept, full, err
}

// sourceOf returns the registry of the sources that has a repository, or nil.
func sourceOf(sources []Source, repository string) *Source {
	for i, s := range sources {
		if s.Kind == FromRegistry && (repository == s.Name || strings.HasPrefix(repository, s.Name+"/")) {
			return &sources[i]
		}
	}
	return nil
}
