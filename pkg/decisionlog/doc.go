// Package decisionlog keeps what was decided in a bounded file of JSON lines in
// the state folder, written by both daemons and read by imagefit decisions.
package decisionlog
