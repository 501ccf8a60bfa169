// Package backfill resolves, in the background, what those images on the node
// need that did not come through cri-proxy, so that admission knows them too.
package backfill
