// Package node puts the parts together as the configuration says: what the two
// daemons and the tool have in common.
package node
