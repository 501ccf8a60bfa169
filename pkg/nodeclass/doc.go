// Package nodeclass groups the nodes of a cluster: two nodes are of one class if no
// known image can tell them apart. A class is the part of a node's facts that images ask
// for, some kilobytes, and a digest of it.
package nodeclass
