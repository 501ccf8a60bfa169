package dialect_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/internal/testkit/compattest"
	"github.com/imagefit/imagefit/pkg/compat"
)

func refused(t *testing.T, body []byte, want string) {
	t.Helper()
	got, err := compattest.Attributes(t, body)
	if err == nil {
		t.Fatalf("was read: %v", got)
	}
	if err.Error() != want {
		t.Errorf("got  %s\nwant %s", err, want)
	}
	if got != nil {
		t.Errorf("half read: %v", got)
	}
}

// outline writes attributes as a document. Attributes of one group stand
// together in what was parsed.
func outline(t *testing.T, attributes []compat.Attribute) []byte {
	t.Helper()
	var b strings.Builder
	b.WriteString(`{"compatibilities":{`)
	for i, a := range attributes {
		switch {
		case i == 0:
			b.WriteString(text(t, a.Group) + ":{")
		case a.Group != attributes[i-1].Group:
			b.WriteString("}," + text(t, a.Group) + ":{")
		default:
			b.WriteString(",")
		}
		value := a.Value
		if a.Kind == compat.String {
			value = text(t, a.Value)
		}
		b.WriteString(text(t, a.Key) + ":" + value)
	}
	if len(attributes) > 0 {
		b.WriteString("}")
	}
	b.WriteString("}}")
	return []byte(b.String())
}

func text(t *testing.T, s string) string {
	t.Helper()
	quoted, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(quoted)
}

// attributes is a document of n attributes.
func attributes(n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf(`"key-%d":"some text"`, i)
	}
	return `{"compatibilities":{"g":{` + strings.Join(list, ",") + `}}}`
}

func kindName(k compat.Kind) string { return [...]string{"string", "bool", "number"}[k] }
