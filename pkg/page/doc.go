// Package page writes HTML pages that need nothing else: one file with its style, its
// script and its data, no network. A page is a title and parts: tables, plots, and a
// matrix of verdicts, such as images by hosts, that readers filter and walk through.
//
// Everything that callers pass is text: it may come from a registry and is escaped. The
// page forbids, by its content security policy, to load anything and to run any script
// but its own.
package page
