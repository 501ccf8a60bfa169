// Package audit tells which containers that run on a node, and which images on it, would
// not be admitted by the facts and rules of now. It decides as admission does, over what
// CRI lists, reads the cache and never the network, and changes nothing on the node.
package audit
