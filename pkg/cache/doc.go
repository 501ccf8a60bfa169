// Package cache keeps on disk what is known already: blobs by digest, lists of
// referrers with the time they were fetched, and what was decided about an
// image. The two daemons and the tool share one folder.
//
//	objects/<n>-<i>.pack  small blobs and lists, each with who wrote what when
//	objects/<hex>.one     the same, one large blob or list
//	images/<hex>.json     decisions, by image id (the config digest), with the
//	                      bodies that they rest on
//
// A disk counts blocks and inodes, and most of what registries send is a few hundred
// bytes, so small objects share files: those whose digests begin alike are in one
// pack of at most 128 KiB. A pack is read as a whole, objects are appended to it, and
// where it is full the ones unused for longest make room. There is no index, nothing
// is read at the start, and nothing in a pack is lost for good when it is lost.
//
// Each file may be deleted at any time, every object is verified when it is read, and
// decisions, which only a pull can bring back, are files of their own that are synced
// and replaced in one step. They are not removed for what can be fetched again: see
// [Cache.Sweep].
package cache
