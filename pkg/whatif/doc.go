// Package whatif tells what would become of images on hosts, and what a change of the
// hosts would do to that. It evaluates by package placement and puts the results into a
// grid of images by hosts, which it writes as a page, as CSV and as a list.
package whatif
