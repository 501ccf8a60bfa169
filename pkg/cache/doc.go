// Package cache keeps on disk what is known already: blobs by digest, lists of
// referrers with the time they were fetched, and what was decided about an
// image. The two daemons and the tool share one folder.
//
//	blobs/sha256/<hex>    index manifests, artifact manifests and bodies
//	sources/<hex>         which repository a blob came from, by the hash of both
//	referrers/<hex>.json  lists of referrers, by the hash of their key
//	images/<hex>.json     decisions, by image id (the config digest)
//
// Everything is a plain file, written to a temporary name and renamed, and
// verified when it is read; decisions, which only a pull can bring back, and the
// bodies that they rest on are synced too. Each file may be deleted at any time. What
// decisions need is not removed for what can be fetched again: see [Cache.Sweep].
package cache
