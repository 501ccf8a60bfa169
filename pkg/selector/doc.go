// Package selector weighs facts against requirements and chooses among
// candidates. It is pure: no I/O, no clock, no logger, and the same input
// always gives the same answer.
//
// Every fact is present, absent or unknown, and so every requirement holds,
// does not hold, or is unknown (Kleene's logic): what is unknown decides
// nothing, and where the rest decides it does not matter.
//
// There are two walks over the same requirements. Evaluate looks at everything,
// for an explanation has to name all that is missing; it passes over only what
// a requirement says to prune itself. Weigh stops a candidate at the first
// thing that is known not to fit, before it compares the details that come
// after, and keeps nothing; both give the same order.
package selector
