// Package dialect reads the forms in which images state what they need, one file
// for each, into requirements.
//
// A new dialect is a file with a function that returns its Dialect, and a line in
// [All]: detection, lint, check, attach, convert and the pull go by that list.
package dialect
