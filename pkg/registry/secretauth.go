package registry

import (
	"encoding/json"
	"errors"

	"github.com/distribution/reference"
)

// AuthFromConfig returns the credentials for a repository out of the text of a Docker
// configuration, as a Kubernetes secret has it, or nil. Credential helpers that it names
// are not run.
func AuthFromConfig(text []byte, repository reference.Named) (*Auth, error) {
	if len(text) > maxAuthFile {
		return nil, errors.New("it is larger than credentials are")
	}
	var f authFile
	if err := json.Unmarshal(text, &f); err != nil {
		return nil, errors.New("it is not a Docker configuration with credentials") // without what is in it
	}
	entry, known := f.entry(repository)
	if !known || entry == (authEntry{}) {
		return nil, nil //nolint:nilnil // none for this registry
	}
	return entry.read()
}
