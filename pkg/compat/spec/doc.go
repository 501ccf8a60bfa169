// Package spec defines what attributes mean. A compatibility spec is a versioned
// data file, one for each compatibility interest group; some are embedded here,
// operators add theirs. An [Interpreter] turns attributes into requirements by
// them.
package spec
