package main

import (
	"cmp"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/imagefit/imagefit/pkg/config"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/decisionlog"
	"github.com/imagefit/imagefit/pkg/page"
	"github.com/imagefit/imagefit/pkg/secret"
)

// publicRegistries are hosts whose names tell nothing of anybody.
func publicRegistries() []string {
	return []string{"docker.io", "registry-1.docker.io", "index.docker.io", "quay.io", "ghcr.io", "gcr.io", "registry.k8s.io", "k8s.gcr.io",
		"nvcr.io", "mcr.microsoft.com", "public.ecr.aws", "registry.gitlab.com", "localhost", "127.0.0.1"}
}

// hider takes credentials, and the names of hosts, out of texts.
type hider struct {
	keep   bool // the names of hosts
	known  map[string]string
	hosts  *regexp.Regexp // all that are known, nil to be made again
	number int
}

// minName is the shortest name of a machine that is hidden: shorter ones are words that
// mean something else, and tell nothing.
const minName = 4

// newHider returns what hides the names of hosts, that of this machine among them, or
// keeps them.
func newHider(machine string, keep bool) *hider {
	h := &hider{keep: keep, known: map[string]string{}}
	machine = strings.ToLower(machine)
	short, _, _ := strings.Cut(machine, ".")
	for _, name := range []string{machine, short} {
		if len(name) >= minName && !keep && name != "localhost" {
			h.known[name] = "this-node"
		}
	}
	return h
}

// host has a host hidden from now on. Addresses may come with a port.
func (h *hider) host(name string) {
	name = strings.ToLower(strings.TrimSpace(name))
	if host, _, err := net.SplitHostPort(name); err == nil {
		name = host
	}
	if name == "" || h.keep || slices.Contains(publicRegistries(), name) || h.known[name] != "" {
		return
	}
	h.number++
	h.known[name], h.hosts = fmt.Sprintf("host-%d", h.number), nil
}

// hostsOf finds the hosts in everything that has names of them.
func (h *hider) hostsOf(cfg config.Config, list imageList, records []decisionlog.Record, status nodeStatus) {
	reference := func(ref string) {
		host, _, _ := strings.Cut(decision.RepositoryOf(ref), "/")
		h.host(host)
	}
	for _, i := range list.Images {
		reference(i.Name)
	}
	for _, r := range records {
		reference(r.Reference)
		h.urls(r.Reason + " " + r.Error)
	}
	for prefix := range cfg.Policy.Repositories {
		host, _, _ := strings.Cut(prefix, "/")
		h.host(host)
	}
	h.urls(cfg.Tracing.Endpoint)
	for _, d := range status.Daemons {
		if d.Status == nil {
			continue
		}
		for _, silent := range d.Status.SilentHosts {
			h.host(silent.Host)
			h.host(silent.Registry)
		}
	}
}

// urls finds the hosts of the URLs in a text.
func (h *hider) urls(text string) {
	for _, found := range regexp.MustCompile(`[a-z][a-z0-9+.-]*://[^\s"'<>]+`).FindAllString(text, -1) {
		if u, err := url.Parse(found); err == nil && u.Scheme != "unix" {
			h.host(u.Hostname())
		}
	}
}

// text hides what is to be hidden in a text.
func (h *hider) text(text string) string {
	text = secret.Strip(text)
	if h.keep {
		return text
	}
	h.urls(text)
	if len(h.known) == 0 {
		return text
	}
	if h.hosts == nil {
		h.compile()
	}
	return h.hosts.ReplaceAllStringFunc(text, func(name string) string { return h.known[strings.ToLower(name)] })
}

// compile compiles the names of all hosts, the longest first. A name is one only where it
// is not part of a longer word.
func (h *hider) compile() {
	var names []string
	for name := range h.known {
		names = append(names, regexp.QuoteMeta(name))
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(len(b)-len(a), cmp.Compare(a, b)) })
	h.hosts = regexp.MustCompile(`(?i)\b(?:` + strings.Join(names, "|") + `)\b`)
}

// part hides what is to be hidden in a part of the page.
func (h *hider) part(p page.Part) page.Part {
	switch p := p.(type) {
	case page.Table:
		p.Note, p.Empty = h.text(p.Note), h.text(p.Empty)
		for _, row := range p.Rows {
			for i := range row {
				row[i] = h.text(row[i])
			}
		}
		return p
	case page.Plot:
		p.Note = h.text(p.Note)
		for i := range p.Points {
			p.Points[i].Title = h.text(p.Points[i].Title)
		}
		return p
	}
	return p
}
