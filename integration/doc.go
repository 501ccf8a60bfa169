// Package integration holds the tests of imagefit against the real programs
// around it; package stack runs those. README.md says what is proven where.
package integration
