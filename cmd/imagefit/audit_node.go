package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/internal/wiring"
	"github.com/imagefit/imagefit/pkg/audit"
	"github.com/imagefit/imagefit/pkg/config"
	"github.com/imagefit/imagefit/pkg/containerd"
	"github.com/imagefit/imagefit/pkg/cri"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/health"
	"github.com/imagefit/imagefit/pkg/unixsocket"
)

// auditNode audits this node by facts that may be those of another time.
func auditNode(ctx context.Context, cfg config.Config, known *facts.Facts, stderr io.Writer) (audit.Report, error) {
	if _, err := os.ReadDir(cfg.StateDir); errors.Is(err, fs.ErrPermission) {
		return audit.Report{}, fmt.Errorf("read what is known of images in %s (state_dir): permission denied: only root may, try sudo imagefit audit",
			cfg.StateDir)
	}
	log := cli.NewLogger(stderr, config.Text, slog.LevelError)
	runtime, err := containerd.Read(cfg.Runtime.Config)
	if err != nil {
		log.Error("cannot read the runtime's configuration completely", "file", cfg.Runtime.Config, "error", err)
	}
	evaluator, err := wiring.Evaluator(cfg, known, runtime, log)
	if err != nil {
		return audit.Report{}, err
	}
	conn, err := cri.NewSplitBackend(cfg.Runtime.Endpoint, cfg.Runtime.ImageEndpoint)
	if err != nil {
		return audit.Report{}, err
	}
	defer func() { _ = conn.Close() }()
	images := conn
	if dial(ctx, cfg.Proxy.Listen) == nil { // which knows the names that it keeps
		proxy, err := cri.NewBackend(cfg.Proxy.Listen)
		if err != nil {
			return audit.Report{}, err
		}
		defer func() { _ = proxy.Close() }()
		images = proxy
	}
	report, err := audit.New(evaluator, conn, images).Audit(ctx)
	if err == nil {
		return report, nil
	}
	if unreachable := dial(ctx, cfg.Runtime.Endpoint); unreachable != nil { // which tells more than gRPC
		err = unreachable
	}
	return audit.Report{}, fmt.Errorf("the runtime does not list containers at %s (runtime.endpoint): %w; check that it runs and that "+
		"this is its socket: imagefit config check --live", cfg.Runtime.Endpoint, err)
}

// dial fails where no program accepts connections at an endpoint.
func dial(ctx context.Context, endpoint string) error {
	path, err := unixsocket.ParseEndpoint(endpoint)
	if err != nil {
		return err
	}
	conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err != nil {
		return err
	}
	return conn.Close()
}

// printAuditReport prints what does not fit, or all, and the numbers.
func printAuditReport(b *cli.Console, r audit.Report, all bool) {
	counts := r.Counts()
	table := b.Table()
	head := "VERDICT\tPOD\tCONTAINER\tIMAGE\tREASON\n"
	for _, c := range r.Containers {
		if all || c.Unfit() {
			pod := strings.Trim(c.Namespace+"/"+c.Pod, "/")
			fmt.Fprint(table, head)
			printFinding(b, table, c.Finding, pod, c.Name)
			head = ""
		}
	}
	table.Flush()
	if head == "" {
		b.WriteString("\n")
	}
	head = "VERDICT\tIMAGE\tREASON\n"
	for _, i := range r.Images {
		if all || i.Unfit() {
			fmt.Fprint(table, head)
			printFinding(b, table, i.Finding)
			head = ""
		}
	}
	table.Flush()
	if head == "" {
		b.WriteString("\n")
	}
	fmt.Fprintf(b, "running containers: %s\nimage names: %s\n", countsLine(counts.Containers), countsLine(counts.Images))
}

func printFinding(b *cli.Console, w io.Writer, f audit.Finding, place ...string) {
	verdict := string(f.Verdict)
	switch {
	case f.Verdict == audit.Tolerated && f.Exempt:
		verdict += " (exempt)"
	case f.Verdict == audit.Tolerated:
		verdict += " (" + f.Mode + ")"
	}
	reason := strings.TrimPrefix(f.Reason, f.Reference+" ")
	if len(f.SignedBy) > 0 {
		reason = strings.TrimPrefix(reason+"; signed by "+strings.Join(f.SignedBy, ", "), "; ")
	}
	cells := append(slices.Clone(place), f.Reference, reason)
	for i, cell := range cells {
		cells[i] = cmp.Or(decision.Line(cell), "-")
	}
	fmt.Fprintf(w, "%s\t%s\n", b.Paint(styleOf(string(f.Verdict)), verdict), strings.Join(cells, "\t"))
}

// countsLine prints numbers by verdict, without those that are 0.
func countsLine(counts map[string]int) string {
	total := 0
	var words []string
	for _, v := range audit.Verdicts() {
		n := counts[string(v)]
		total += n
		if n > 0 {
			words = append(words, fmt.Sprintf("%d %s", n, v))
		}
	}
	if total == 0 {
		return "none"
	}
	return fmt.Sprintf("%d (%s)", total, strings.Join(words, ", "))
}

// printAudit prints what the last audit of a daemon found.
func printAudit(w io.Writer, s *health.AuditStatus, now time.Time) {
	if s == nil {
		return
	}
	running := 0
	for _, n := range s.Containers {
		running += n
	}
	line := fmt.Sprintf("running containers: %d", running)
	if n := s.Containers[string(audit.Refused)]; n > 0 {
		line += fmt.Sprintf(", would not be admitted now: %d", n)
	}
	if n := s.Containers[string(audit.Tolerated)]; n > 0 {
		line += fmt.Sprintf(", do not fit and are tolerated: %d", n)
	}
	if n := s.Containers[string(audit.Unchecked)]; n > 0 {
		line += fmt.Sprintf(", unchecked: %d", n)
	}
	if n := s.Images[string(audit.Refused)] + s.Images[string(audit.Tolerated)]; n > 0 {
		line += fmt.Sprintf("; image names that do not fit: %d", n)
	}
	fmt.Fprintf(w, "  audit\t%s ago; %s\n", ago(s.Time, now), line)
}
