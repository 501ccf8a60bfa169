// Package inspect tells what an image needs from the programs in it, or from a
// node that it runs on.
//
// Files, archives and programs are untrusted: all that is read of them is bounded.
package inspect
