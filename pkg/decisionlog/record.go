package decisionlog

import (
	"log/slog"
	"strings"
	"time"

	"github.com/imagefit/imagefit/pkg/policy"
)

// The programs that keep records.
const (
	Proxy  = "cri-proxy"
	Plugin = "nri-plugin"
)

// Programs lists the programs that keep records.
func Programs() []string { return []string{Proxy, Plugin} }

// Record is one decision and what came of it. Its JSON names are stable.
type Record struct {
	Time       time.Time     `json:"time"`
	Program    string        `json:"program"`
	Action     policy.Action `json:"action"`
	Would      policy.Action `json:"would,omitempty"` // the action that audit, an exemption or the runtime kept from being taken
	Mode       string        `json:"mode,omitempty"`  // enforce or audit
	Exempt     bool          `json:"exempt,omitempty"`
	Reference  string        `json:"reference"`
	Namespace  string        `json:"namespace,omitempty"`
	Pod        string        `json:"pod,omitempty"`
	Container  string        `json:"container,omitempty"` // of admissions
	Choice     string        `json:"choice,omitempty"`    // platform of the variant
	Manifest   string        `json:"manifest,omitempty"`  // its digest
	Image      string        `json:"image,omitempty"`     // the image id
	Candidates int           `json:"candidates,omitempty"`
	Cases      []policy.Case `json:"cases,omitempty"`
	Reason     string        `json:"reason,omitempty"` // one sentence
	Error      string        `json:"error,omitempty"`
	Decided    time.Duration `json:"decided_ns,omitempty"` // how long the decision took
	Took       time.Duration `json:"took_ns,omitempty"`    // how long the whole call took
}

// Level is how loud the record is in a log.
func (r Record) Level() slog.Level {
	switch {
	case r.Action == policy.Refused, r.Action == policy.Failed, r.Action == policy.FoundUnfit, r.Would == policy.Refused, r.Error != "":
		return slog.LevelWarn
	case r.Image == "" && len(r.Cases) == 0:
		return slog.LevelDebug // there was nothing to decide about
	default:
		return slog.LevelInfo
	}
}

// Attrs are the record's keys in a log, those that say nothing left out.
func (r Record) Attrs() []slog.Attr {
	attrs := []slog.Attr{slog.String("action", string(r.Action)), slog.String("reference", r.Reference)}
	text := func(key, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(key, value))
		}
	}
	text("would", string(r.Would))
	text("mode", r.Mode)
	if r.Exempt {
		attrs = append(attrs, slog.Bool("exempt", true))
	}
	text("namespace", r.Namespace)
	text("pod", r.Pod)
	text("container", r.Container)
	text("choice", r.Choice)
	text("manifest", r.Manifest)
	text("image", r.Image)
	if r.Candidates > 0 {
		attrs = append(attrs, slog.Int("candidates", r.Candidates))
	}
	text("cases", r.CasesText())
	text("reason", r.Reason)
	text("error", r.Error)
	if r.Decided > 0 {
		attrs = append(attrs, slog.Duration("decided", r.Decided))
	}
	if r.Took > 0 {
		attrs = append(attrs, slog.Duration("took", r.Took))
	}
	return attrs
}

// CasesText joins the cases with blanks.
func (r Record) CasesText() string {
	words := make([]string, len(r.Cases))
	for i, c := range r.Cases {
		words[i] = c.String()
	}
	return strings.Join(words, " ")
}
