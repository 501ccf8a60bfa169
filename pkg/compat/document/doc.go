// Package document reads the JSON and YAML documents that images bring as one
// kind of tree, in which every value knows where it is written.
//
// Documents are untrusted: their size, depth and number of values are bounded,
// and what lets a short text expand to a huge one is refused.
package document
