package selector_test

import (
	"encoding/json"
	"testing"

	"github.com/imagefit/imagefit/pkg/selector"
)

func TestOutcomeIsTheSameInTextBothWays(t *testing.T) {
	t.Parallel()
	for _, o := range []selector.Outcome{selector.Unknown, selector.Unfit, selector.Fits} {
		text, err := json.Marshal(o)
		var back selector.Outcome
		if err != nil || json.Unmarshal(text, &back) != nil || back != o || string(text) != `"`+o.String()+`"` {
			t.Errorf("%s: written as %s, read as %s, %v", o, text, back, err)
		}
	}
	if err := new(selector.Outcome).UnmarshalText([]byte("maybe")); err == nil {
		t.Error("maybe is read as an outcome")
	}
}
