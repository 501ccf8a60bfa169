// Package tomlerr makes errors of TOML files that the writer of the file can
// act on: with row, column, key, and the key that was probably meant. It knows
// where in a file keys stand and how they are written.
package tomlerr
