package registry

// Again returns the repository for another look-up with the same credentials, after the
// reference was resolved.
func (p *Repository) Again() *Repository {
	again := &Repository{registry: p.registry, path: p.path, hosts: p.hosts, paths: p.paths, owner: p.owner, namedBy: p.namedBy}
	again.resolvedBy.Store(p.resolvedBy.Load())
	return again
}
