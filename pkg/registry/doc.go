// Package registry reads an image's index, its referrers and their artifacts
// from a registry, the way the container runtime of this node would: through
// the mirrors of its hosts.toml, by the capabilities given there, and with the
// credentials of the pull at hand.
//
// [Registry] lives as long as the process and shares connections and what is
// known of hosts without a referrers API. [Repository] lives for one pull: its
// credentials and its tokens are seen by that pull alone.
//
// oras-go speaks the distribution protocol; containerd's own packages say which
// host to ask and how to log in there; this package joins the two by a client
// that implements [remote.Client]. Whatever a registry sends is bounded in size,
// pages and redirects, and content asked for by digest is verified as it
// arrives, so that a mirror with damaged content is skipped. Nor can a
// registry have requests made to what only this machine reaches. Nothing is
// tried twice at the same host: the caller has a time budget.
package registry
