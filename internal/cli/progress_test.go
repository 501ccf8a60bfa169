package cli

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestProgressIsToldAfterASecondAndThenEverMoreRarely(t *testing.T) {
	t.Parallel()
	for took, want := range map[time.Duration]int{
		900 * time.Millisecond: 0, 1100 * time.Millisecond: 1, 3100 * time.Millisecond: 2, 6900 * time.Millisecond: 2, 7100 * time.Millisecond: 3,
	} {
		synctest.Test(t, func(t *testing.T) {
			var out bytes.Buffer
			stop := progress(&out, func() string { return "asked 1 of 2" })
			time.Sleep(took)
			stop()
			if got := out.String(); got != strings.Repeat("imagefit: asked 1 of 2\n", want) {
				t.Errorf("after %s: %q", took, got)
			}
		})
	}
}

func TestProgressIsOnlyForTerminals(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		stop := Progress(&out, func() string { return "far" })
		time.Sleep(time.Minute)
		stop()
		if out.Len() > 0 {
			t.Errorf("%q", out.String())
		}
	})
}
