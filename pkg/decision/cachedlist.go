package decision

import (
	"bytes"
	"encoding/json"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/pkg/registry"
)

// cachedList is a list of referrers in the cache: the descriptors alone, or with what is
// to be said of a list that is not complete.
type cachedList struct{ registry.Listing }

type incompleteList struct {
	Referrers  []ocispec.Descriptor `json:"referrers"`
	Total      int                  `json:"total"`
	Incomplete string               `json:"incomplete"`
}

// MarshalJSON implements json.Marshaler.
func (l cachedList) MarshalJSON() ([]byte, error) {
	if l.Incomplete == "" && l.Total == len(l.Referrers) {
		return json.Marshal(l.Referrers)
	}
	return json.Marshal(incompleteList{l.Referrers, l.Total, l.Incomplete})
}

// UnmarshalJSON implements json.Unmarshaler.
func (l *cachedList) UnmarshalJSON(text []byte) error {
	if bytes.HasPrefix(text, []byte("{")) {
		var list incompleteList
		err := json.Unmarshal(text, &list)
		l.Listing = registry.Listing{Referrers: list.Referrers, Total: list.Total, Incomplete: list.Incomplete}
		return err
	}
	err := json.Unmarshal(text, &l.Referrers)
	l.Total = len(l.Referrers)
	return err
}
