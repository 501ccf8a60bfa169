// Package decisionlog is the decision log: a bounded file of JSON lines in the
// state directory, written by both daemons and read by imagefit decisions.
package decisionlog
