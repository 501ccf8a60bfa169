package document

import "encoding/json"

// MostValues is the count by which a document is refused before it is parsed.
func MostValues(body []byte) int {
	if json.Valid(body) {
		return Values(body)
	}
	return 2 * yamlValues(body)
}
