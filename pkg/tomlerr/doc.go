// Package tomlerr reports mistakes in TOML files in a form that their author can
// act on: with row, column, key, and the key that was probably meant. It finds the
// position of keys in a file and quotes them.
package tomlerr
