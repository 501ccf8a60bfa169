// Package inventory finds out, in the background, what those images of a node
// need that did not come through cri-proxy, so that admission knows of them too.
package backfill
