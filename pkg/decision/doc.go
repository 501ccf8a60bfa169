// Package decision is the one road from a reference to a choice: candidates,
// what is said of them, verdicts, and which of them to run. The proxy, the
// admission plugin and the tool all take it.
package decision
