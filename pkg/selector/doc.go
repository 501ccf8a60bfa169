// Package selector weighs facts against requirements and chooses among
// candidates. It is pure: no I/O, no clock, no logger, and the same input
// always gives the same answer.
package selector
