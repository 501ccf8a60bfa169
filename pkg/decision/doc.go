// Package decision decides which variant of an image to run: it resolves a reference,
// finds the candidates and what is stated of them, evaluates that on the node's facts
// and chooses. The proxy, the admission plugin and the CLI all decide here.
package decision
