package registry

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// meaning is what the answer to a request for referrers says, by the API or by the
// referrers tag.
type meaning int

const (
	mayBeOutage   meaning = iota // nothing: the registry may be out of order
	isList                       // what refers to the image
	noAPI                        // there are none: the host has no such API or tag
	probablyNoAPI                // the same, unless something in front of the host answers in its place
	noneHere                     // there are none for this image; it says nothing about others
	refused                      // there are none for these credentials, if they may read the image
)

// answer is a row of the table of answers.
type answer struct {
	first, last int // status
	when        func(*http.Response) bool
	means       meaning
}

// answers is the table of what registries send where they have no referrers, or do not
// have the API. The first row that matches applies. What is not in it may be an outage.
func answers() []answer {
	return []answer{
		{200, 200, hasIndex, isList},
		{401, 401, nil, refused}, // Harbor 2.7, without a challenge
		{403, 403, nil, refused}, // scoped tokens; Artifactory, for a tag that is not there
		{404, 404, isAboutImage, noneHere},
		{407, 408, nil, mayBeOutage},
		{425, 425, nil, mayBeOutage},
		{429, 429, nil, mayBeOutage},
		{400, 499, isForPeople, probablyNoAPI},
		{400, 400, nil, noAPI},
		{404, 406, nil, noAPI},    // distribution and most others; Artifactory sends 406
		{409, 410, nil, noneHere}, // by the state of the image
		{412, 412, nil, noneHere}, // Harbor, by a policy about the image
		{415, 415, nil, noAPI},
		{423, 424, nil, noneHere}, // Azure, by a cache rule
		{451, 451, nil, noneHere},
		{501, 501, isForPeople, probablyNoAPI},
		{501, 501, nil, noAPI},
		{200, 499, nil, probablyNoAPI}, // pages, other media types, empty bodies, redirects to a front page
	}
}

// meaningOf looks an answer up. It may read the beginning of the body.
func meaningOf(resp *http.Response) meaning {
	table := answers()
	row := slices.IndexFunc(table, func(a answer) bool {
		return a.first <= resp.StatusCode && resp.StatusCode <= a.last && (a.when == nil || a.when(resp))
	})
	if row < 0 {
		return mayBeOutage
	}
	return table[row].means
}

// hasIndex tells an image index from a page, from the manifest that some registries keep
// under every tag, and from nothing at all.
func hasIndex(resp *http.Response) bool {
	if mediaType(resp) != ocispec.MediaTypeImageIndex {
		return false
	}
	body := bufio.NewReader(resp.Body)
	_, err := body.Peek(1)
	resp.Body = peeked{body, resp.Body}
	return !errors.Is(err, io.EOF)
}

// peeked is a body of which the beginning was looked at.
type peeked struct {
	io.Reader
	io.Closer
}

func isForPeople(resp *http.Response) bool { return mediaType(resp) == "text/html" }

// isAboutImage tells whether an error body has NAME_UNKNOWN or MANIFEST_UNKNOWN, which
// hosts that have the API send about one image.
func isAboutImage(resp *http.Response) bool {
	var body struct {
		Errors []struct {
			Code string `json:"code"`
		} `json:"errors"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxErrorBody)).Decode(&body); err != nil {
		return false // plain text: no such route
	}
	for _, e := range body.Errors {
		if e.Code == "NAME_UNKNOWN" || e.Code == "MANIFEST_UNKNOWN" {
			return true
		}
	}
	return false
}
