// Package catalog is a database of what images need, made from their indexes, manifests,
// configs and compatibility artifacts. No layer is ever read.
//
// A [Catalog] is one SQLite file or one PostgreSQL schema, with the same tables. [Syncer]
// fills it from registries, folders and lists; queries and evaluations read it.
package catalog
