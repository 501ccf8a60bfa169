// Package integration holds the tests of imagefit against the real programs
// around it; package stack runs those.
package integration
