// Package backfill looks up, in the background, the requirements of images on the
// node that did not come through cri-proxy, so that admission has them, too.
package backfill
