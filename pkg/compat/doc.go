// Package compat is the model of what an image asks for: requirements, and the
// attributes that dialects such as Proposal F of the OCI image compatibility
// working group state them in.
//
// Package dialect reads what images bring, and package spec defines what their
// attributes mean.
package compat
