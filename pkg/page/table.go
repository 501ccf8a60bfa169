package page

// Table is a table of texts.
type Table struct {
	Heading string
	Note    string
	Columns []string
	Rows    [][]string
	Empty   string // shown in place of a table without rows
	// Folded hides the table behind its heading until a reader opens it; print shows it.
	Folded bool
}

func (t Table) section() (section, error) {
	return section{Heading: t.Heading, Note: t.Note, Table: &t}, nil
}
