// Package author has what the authors of images need: it finds mistakes in
// what an image asks for and mends the mechanical ones (Lint, Apply), makes a
// first version of it from a node or from the programs that were built
// (FromFacts, Inspect), and writes it in another dialect as far as its meaning
// survives (Write, Convert).
//
// Files, archives and programs are untrusted: all that is read of them is
// bounded.
package author
