// Package cli is what the command lines of the programs share: the flags of the
// configuration, the version, and the logger.
package cli
