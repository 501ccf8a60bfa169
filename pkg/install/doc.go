// Package install sets a node up for imagefit and takes it back: it detects the platform,
// plans the files, writes them with a record of what was there, verifies, and reverts.
package install
