package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/decisionlog"
)

const recordFormat = "%-19s  %-10s  %-9s  %-9s  %-32s  %s\n"

// printRecords prints one line for each record.
func printRecords(w io.Writer, records []decisionlog.Record) error {
	if _, err := fmt.Fprintf(w, recordFormat, "TIME", "PROGRAM", "ACTION", "WOULD", "POD", "IMAGE AND REASON"); err != nil {
		return err
	}
	for _, r := range records {
		if err := printRecord(w, r); err != nil {
			return err
		}
	}
	return nil
}

func printRecord(w io.Writer, r decisionlog.Record) error {
	_, err := fmt.Fprintf(w, recordFormat, r.Time.Local().Format(time.DateTime), decision.Line(r.Program),
		decision.Line(string(r.Action)), orDash(string(r.Would)), podOf(r), decision.Line(why(r)))
	return err
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return decision.Line(text)
}

// podOf is namespace/pod/container, as far as known.
func podOf(r decisionlog.Record) string {
	var parts []string
	for _, part := range []string{r.Namespace, r.Pod, r.Container} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	return orDash(strings.Join(parts, "/"))
}

// why is the image, unless the reason names it, the reason and the error.
func why(r decisionlog.Record) string {
	text := r.Reason
	if !strings.Contains(text, r.Reference) || text == "" {
		text = strings.TrimSuffix(r.Reference+": "+text, ": ")
	}
	if r.Error != "" {
		text += ": " + r.Error
	}
	return text
}
