// Package journal is what was decided on this node: a bounded file of JSON
// lines in the state folder, written by both daemons and read by the tool.
package decisionlog
