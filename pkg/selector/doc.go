// Package selector evaluates requirements on facts and chooses among
// candidates. It is pure: no I/O, no clock, no logger, and the same input
// always gives the same answer.
//
// Every fact is present, absent or unknown, and so every requirement holds,
// does not hold, or is unknown (Kleene's logic): what is unknown decides
// nothing, and where the rest decides it does not matter.
//
// Evaluate looks at everything, for an explanation has to name all that is
// missing; it leaves out only what a requirement says to prune itself.
package selector
