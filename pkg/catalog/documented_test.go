package catalog_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/internal/testkit/golden"
	"github.com/imagefit/imagefit/pkg/catalog"
)

func TestFieldsAreDocumented(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("\n")
	for _, f := range catalog.Fields() {
		fmt.Fprintf(&b, "| `%s` | `%s` | %s |\n", f.Name, f.Operators, f.About)
	}
	golden.Part(t, "../../docs/catalog.md", "<!-- fields -->", "<!-- end of fields -->", b.String())
}
