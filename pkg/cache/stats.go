package cache

import "sync/atomic"

// What is looked for in the cache.
const (
	blobs     = "blobs"
	referrers = "referrers"
	images    = "images"
)

// Kinds lists what is looked for in the cache.
func Kinds() []string { return []string{blobs, referrers, images} }

// Uses is how often this process looked for something of a kind and whether it
// was there, be it current or not.
type Uses struct{ Hits, Misses uint64 }

// uses counts by kind.
type uses map[string]*struct{ hits, misses atomic.Uint64 }

func (u uses) note(kind string, err error) {
	if err == nil {
		u[kind].hits.Add(1)
	} else {
		u[kind].misses.Add(1)
	}
}

// Uses returns how often this process looked for something of one of the Kinds.
func (c *Cache) Uses(kind string) Uses {
	return Uses{Hits: c.uses[kind].hits.Load(), Misses: c.uses[kind].misses.Load()}
}

// Size is what the files of one folder take on disk.
type Size struct {
	Files int   `json:"files"`
	Bytes int64 `json:"bytes"`
}

// Sizes returns what is on disk, whoever wrote it, by the name of the folder. It
// looks at every file.
func (c *Cache) Sizes() (map[string]Size, error) {
	files, _, err := c.list()
	if err != nil {
		return nil, err
	}
	sizes := map[string]Size{}
	for _, folder := range folders() {
		sizes[folder] = Size{}
	}
	for _, f := range files {
		size := sizes[f.folder]
		sizes[f.folder] = Size{Files: size.Files + 1, Bytes: size.Bytes + f.cost}
	}
	return sizes, nil
}

// Limit is how many bytes of disk all files may take together.
func (c *Cache) Limit() int64 { return c.maxSize }
