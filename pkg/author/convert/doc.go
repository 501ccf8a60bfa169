// Package convert writes what an image asks for in another dialect, as far as its
// meaning survives.
package convert
