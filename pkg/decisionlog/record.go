package decisionlog

import (
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/imagefit/imagefit/internal/textutil"
	"github.com/imagefit/imagefit/pkg/policy"
	"github.com/imagefit/imagefit/pkg/secret"
)

const (
	// maxText bounds each text of a record.
	maxText = 1 << 10
	// maxCases bounds the cases of a record; there are fewer keys.
	maxCases = 16
	// maxEntries bounds the entries of a record, and maxEntryText the texts of each.
	maxEntries   = 32
	maxEntryText = 256
)

// The programs that write records.
const (
	Proxy  = "cri-proxy"
	Plugin = "nri-plugin"
)

// Programs lists the programs that write records.
func Programs() []string { return []string{Proxy, Plugin} }

// Record is one decision and what came of it. Its JSON names are stable.
type Record struct {
	Time       time.Time     `json:"time"`
	Program    string        `json:"program"`
	Action     policy.Action `json:"action"`
	Would      policy.Action `json:"would,omitempty"` // what the mode, an exemption or the runtime prevented
	Mode       string        `json:"mode,omitempty"`  // enforce, warn or audit
	Exempt     bool          `json:"exempt,omitempty"`
	Reference  string        `json:"reference"`
	Namespace  string        `json:"namespace,omitempty"`
	Pod        string        `json:"pod,omitempty"`
	Container  string        `json:"container,omitempty"`  // of admissions
	Choice     string        `json:"choice,omitempty"`     // platform of the variant
	InsteadOf  string        `json:"instead_of,omitempty"` // a better one, which could not be pulled
	Manifest   string        `json:"manifest,omitempty"`   // its digest
	Image      string        `json:"image,omitempty"`      // the image id
	Candidates int           `json:"candidates,omitempty"`
	Entries    []Entry       `json:"entries,omitempty"` // of the index, the first of them
	Cases      []policy.Case `json:"cases,omitempty"`
	SignedBy   []string      `json:"signed_by,omitempty"`   // keys that signed what the decision rests on
	Ignored    int           `json:"ignored,omitempty"`     // statements that no trusted key signed
	Kept       int           `json:"kept,omitempty"`        // signed artifacts of an earlier pull that the registry does not have now
	ReasonCode policy.Reason `json:"reason_code,omitempty"` // the reason in a word: of pulls, and of containers that were not checked
	Reason     string        `json:"reason,omitempty"`      // one sentence
	Error      string        `json:"error,omitempty"`
	Decided    time.Duration `json:"decided_ns,omitempty"` // how long the decision took
	Took       time.Duration `json:"took_ns,omitempty"`    // how long the whole call took
}

// Entry is what became of one entry of an index.
type Entry struct {
	Name    string `json:"name"`           // its platform, where it states one
	Verdict string `json:"verdict"`        // what keeps it from being a candidate, or how it fits and why
	Rank    int    `json:"rank,omitempty"` // 1 is the choice
}

// Level is the log level of the record.
func (r Record) Level() slog.Level {
	switch {
	case r.Action == policy.Refused, r.Action == policy.Failed, r.Action == policy.FoundUnfit, r.Would == policy.Refused, r.InsteadOf != "", r.Error != "":
		return slog.LevelWarn
	case r.Image == "" && len(r.Cases) == 0 && r.ReasonCode == "" && r.Action != policy.Forwarded:
		return slog.LevelDebug // nothing to decide
	default:
		return slog.LevelInfo
	}
}

// Attrs are the attributes of the record in a log, without empty ones.
func (r Record) Attrs() []slog.Attr {
	always := []slog.Attr{slog.String("action", string(r.Action)), slog.String("reference", r.Reference)}
	others := []slog.Attr{
		slog.String("would", string(r.Would)), slog.String("mode", r.Mode), slog.Bool("exempt", r.Exempt),
		slog.String("namespace", r.Namespace), slog.String("pod", r.Pod), slog.String("container", r.Container),
		slog.String("choice", r.Choice), slog.String("instead_of", r.InsteadOf),
		slog.String("manifest", r.Manifest), slog.String("image", r.Image),
		slog.Int("candidates", r.Candidates), slog.String("cases", r.CasesText()),
		slog.String("signed_by", strings.Join(r.SignedBy, " ")), slog.Int("ignored", r.Ignored), slog.Int("kept", r.Kept),
		slog.String("reason_code", string(r.ReasonCode)), slog.String("reason", r.Reason), slog.String("error", r.Error),
		slog.Duration("decided", max(0, r.Decided)), slog.Duration("took", max(0, r.Took)),
	}
	empty := []slog.Value{slog.StringValue(""), slog.BoolValue(false), slog.IntValue(0), slog.DurationValue(0)}
	return append(always, slices.DeleteFunc(others, func(a slog.Attr) bool {
		return slices.ContainsFunc(empty, a.Value.Equal)
	})...)
}

// Warned reports whether mode warn alone let a pull or a container pass.
func (r Record) Warned() bool {
	return r.Mode == policy.Warn && !r.Exempt && r.Would == policy.Refused
}

// CasesText joins the cases with spaces.
func (r Record) CasesText() string {
	words := make([]string, len(r.Cases))
	for i, c := range r.Cases {
		words[i] = c.String()
	}
	return strings.Join(words, " ")
}

// Bounded cuts texts that come from clients and registries, and redacts the
// credentials in their URLs.
func (r Record) Bounded() Record {
	for _, s := range []*string{
		&r.Program, (*string)(&r.Action), (*string)(&r.Would), (*string)(&r.ReasonCode), &r.Mode,
		&r.Reference, &r.Namespace, &r.Pod, &r.Container, &r.Choice, &r.InsteadOf, &r.Manifest, &r.Image, &r.Reason, &r.Error,
	} {
		*s = bounded(*s)
	}
	r.Entries = slices.Clone(r.Entries[:min(len(r.Entries), maxEntries)])
	for i, e := range r.Entries {
		r.Entries[i] = Entry{Name: boundedTo(e.Name, maxEntryText), Verdict: boundedTo(e.Verdict, maxEntryText), Rank: e.Rank}
	}
	r.SignedBy = slices.Clone(r.SignedBy[:min(len(r.SignedBy), maxEntries)])
	for i, name := range r.SignedBy {
		r.SignedBy[i] = boundedTo(name, maxEntryText)
	}
	if len(r.Cases) > maxCases {
		r.Cases = r.Cases[:maxCases]
	}
	for i, c := range r.Cases {
		if len(c.Key) > maxText || len(c.Answer) > maxText {
			r.Cases = slices.Clone(r.Cases) // not the caller's
			r.Cases[i] = policy.Case{Key: bounded(c.Key), Answer: bounded(c.Answer)}
		}
	}
	return r
}

func bounded(text string) string { return boundedTo(text, maxText) }

func boundedTo(text string, most int) string {
	// Cutting a URL in two could hide a credential from the redactor, so a word
	// that may be half of a URL is dropped.
	if len(text) > maxLine {
		text = text[:maxLine]
		text = text[:strings.LastIndexAny(text, " \t\n")+1]
	}
	return textutil.Cut(secret.Strip(text), most)
}
