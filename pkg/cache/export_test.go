package cache

// SetDir puts another folder in the place of the one that was opened and swept.
func (c *Cache) SetDir(dir string) { c.dir = dir }
