// Package compat says what an image asks for: one model of requirements, and
// one parser for each dialect that can state them.
//
// A dialect such as Proposal F of the OCI image compatibility working group
// has only "group, key, scalar". What such an attribute means is defined by
// compatibility specs: versioned data files, of which this package embeds its
// own and reads the operator's.
package compat
