package containerd

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/imagefit/imagefit/internal/fsutil"
)

const (
	// signaturePolicy and signaturePolicies are where CRI-O finds by default what it
	// verifies, for all pulls and for those of a namespace. They are in the format of
	// containers-policy.json(5).
	signaturePolicy   = "/etc/containers/policy.json"
	signaturePolicies = "/etc/crio/policies"
	maxPolicy         = 1 << 20
)

// requirement is one of what a policy requires of an image.
type requirement struct {
	Type string `json:"type"`
}

// signatureVerifiers are the kinds of signatures that the policies of CRI-O require.
func signatureVerifiers(policy, policies string) ([]string, error) {
	kinds, err := required(policy)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	entries, err := os.ReadDir(policies)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list signature policies: %w", err)
	}
	if len(entries) > 0 {
		kinds = append(kinds, "policies in "+policies)
	}
	return kinds, nil
}

// required lists what a policy requires, except anything and nothing.
func required(path string) ([]string, error) {
	body, err := fsutil.ReadFile(path, maxPolicy)
	if err != nil {
		return nil, fmt.Errorf("read the signature policy: %w", err)
	}
	var policy struct {
		Default    []requirement                       `json:"default"`
		Transports map[string]map[string][]requirement `json:"transports"`
	}
	if err := json.Unmarshal(body, &policy); err != nil {
		return nil, fmt.Errorf("read the signature policy %s: %w", path, err)
	}
	all := slices.Clone(policy.Default)
	for _, scopes := range policy.Transports {
		for _, requirements := range scopes {
			all = append(all, requirements...)
		}
	}
	var kinds []string
	for _, r := range all {
		if r.Type != "insecureAcceptAnything" && r.Type != "reject" {
			kinds = append(kinds, r.Type)
		}
	}
	slices.Sort(kinds)
	return slices.Compact(kinds), nil
}
