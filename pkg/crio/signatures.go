package crio

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/distribution/reference"

	"github.com/imagefit/imagefit/internal/fsutil"
)

const maxPolicy = 1 << 20

// policyFile is containers-policy.json(5).
type policyFile struct {
	Default    []requirement                       `json:"default"`
	Transports map[string]map[string][]requirement `json:"transports"`
}

// requirement is one of what a policy requires of an image.
type requirement struct {
	Type string `json:"type"`
}

// Signatures are the kinds of signatures that CRI-O requires of the image of a reference,
// pulled for a namespace; "" is none. They are for what is pulled, which is not a variant
// where only the index is signed.
func (s *Settings) Signatures(named reference.Named, namespace string) ([]string, error) {
	policy, err := readPolicy(filepath.Join(s.Policies, namespace+".json"))
	if namespace == "" || errors.Is(err, fs.ErrNotExist) {
		policy, err = readPolicy(s.Policy)
	}
	if errors.Is(err, fs.ErrNotExist) { // nothing can be pulled
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var kinds []string
	for _, r := range policy.of(named) {
		if r.Type != "insecureAcceptAnything" && r.Type != "reject" {
			kinds = append(kinds, r.Type)
		}
	}
	slices.Sort(kinds)
	return slices.Compact(kinds), nil
}

func readPolicy(path string) (policyFile, error) {
	var policy policyFile
	body, err := fsutil.ReadFile(path, maxPolicy)
	if err != nil {
		return policy, fmt.Errorf("read the signature policy: %w", err)
	}
	if err := json.Unmarshal(body, &policy); err != nil {
		return policy, fmt.Errorf("read the signature policy %s: %w", path, err)
	}
	return policy, nil
}

// of returns what a policy requires of a reference: by the closest scope.
func (p policyFile) of(named reference.Named) []requirement {
	scopes := p.Transports["docker"]
	for _, scope := range scopesOf(named) {
		if requirements, ok := scopes[scope]; ok {
			return requirements
		}
	}
	return p.Default
}

// scopesOf are the scopes of a reference, from itself by its repository and host to
// every image.
func scopesOf(named reference.Named) []string {
	var scopes []string
	switch n := named.(type) {
	case reference.Digested: // a tag beside it does not count
		scopes = append(scopes, named.Name()+"@"+n.Digest().String())
	case reference.Tagged:
		scopes = append(scopes, named.Name()+":"+n.Tag())
	}
	for name := named.Name(); ; {
		scopes = append(scopes, name)
		slash := strings.LastIndexByte(name, '/')
		if slash < 0 {
			break
		}
		name = name[:slash]
	}
	host, _, _ := strings.Cut(reference.Domain(named), ":")
	for _, domain, more := strings.Cut(host, "."); more; _, domain, more = strings.Cut(domain, ".") {
		scopes = append(scopes, "*."+domain)
	}
	return append(scopes, "")
}
