// Package imagestore reads containerd's own store of images, beside the CRI: what
// image records there are, and what the manifests behind them hold. All of it is
// local to the node.
package imagestore
