// Package cache keeps on disk what is known already: blobs by digest, lists of
// referrers with the time they were fetched, and what was decided about an
// image. The two daemons and the tool share one folder.
//
//	blobs/sha256/<hex>    index manifests, artifact manifests and bodies
//	referrers/<hex>.json  lists of referrers, by the hash of their key
//	images/<hex>.json     decisions, by image id (the config digest)
//
// Everything is a plain file, written to a temporary name, synced and renamed,
// and verified when it is read. Each file may be deleted at any time.
package cache
