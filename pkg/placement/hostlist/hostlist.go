// Package hostlist reads and writes lists of host names as Flux (RFC 29) and Slurm do:
// node[01-16,18].
package hostlist

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

const (
	// maxHosts bounds what a few characters may stand for.
	maxHosts = 1 << 20
	// maxDigits is what fits a number.
	maxDigits = 18
)

// Format writes names in the order of their numbers, each once. Numbers at the end of a
// name are compressed, which is all that Slurm reads.
func Format(names []string) string {
	hosts := make([]host, len(names))
	for i, name := range names {
		hosts[i] = split(name)
	}
	slices.SortFunc(hosts, compare)
	hosts = slices.Compact(hosts)
	var words []string
	for len(hosts) > 0 {
		n := 1
		for n < len(hosts) && hosts[0].takes(hosts[n]) {
			n++
		}
		words = append(words, group(hosts[:n]))
		hosts = hosts[n:]
	}
	return strings.Join(words, ",")
}

// host is a name and the number at its end.
type host struct {
	prefix string
	number uint64
	digits int // as written; 0 for a name without a number
	zeros  int // digits of a number that is padded with zeros
}

func split(name string) host {
	digits := 0
	for digits < len(name) && digits < maxDigits && name[len(name)-1-digits] >= '0' && name[len(name)-1-digits] <= '9' {
		digits++
	}
	h := host{prefix: name[:len(name)-digits], digits: digits}
	if digits == 0 {
		return h
	}
	h.number, _ = strconv.ParseUint(name[len(name)-digits:], 10, 64)
	if name[len(name)-digits] == '0' && digits > 1 {
		h.zeros = digits
	}
	return h
}

func compare(a, b host) int {
	return cmp.Or(cmp.Compare(a.prefix, b.prefix), cmp.Compare(a.isNumbered(), b.isNumbered()),
		cmp.Compare(a.digits, b.digits), cmp.Compare(a.number, b.number))
}

func (h host) isNumbered() int { return min(h.digits, 1) }

// takes reports whether another host fits into the brackets that h begins: its number
// is written as in a list that is padded as h is.
func (h host) takes(other host) bool {
	return h.digits > 0 && other.digits > 0 && other.prefix == h.prefix &&
		(other.zeros == h.zeros || other.zeros == 0 && other.digits >= h.zeros)
}

func (h host) id(n uint64) string { return fmt.Sprintf("%0*d", h.zeros, n) }

// group writes the hosts of one group.
func group(hosts []host) string {
	first := hosts[0]
	switch {
	case first.digits == 0:
		return first.prefix
	case len(hosts) == 1:
		return first.prefix + first.id(first.number)
	}
	var ids []string
	for len(hosts) > 0 {
		n := 1
		for n < len(hosts) && hosts[n].number == hosts[0].number+uint64(n) {
			n++
		}
		id := first.id(hosts[0].number)
		if n > 1 {
			id += "-" + first.id(hosts[n-1].number)
		}
		ids = append(ids, id)
		hosts = hosts[n:]
	}
	return first.prefix + "[" + strings.Join(ids, ",") + "]"
}

// Parse returns the names of a list in their order, as often as they are in it.
func Parse(list string) ([]string, error) {
	var names []string
	for rest := list; rest != ""; {
		word, err := next(rest)
		if err != nil {
			return nil, fmt.Errorf("read host list %.64q: %w", list, err)
		}
		rest = strings.TrimPrefix(rest[len(word):], ",")
		if names, err = expand(names, word); err != nil {
			return nil, fmt.Errorf("read host list %.64q: %w", list, err)
		}
	}
	return names, nil
}

// next returns the list up to the next comma that is not within brackets.
func next(list string) (string, error) {
	within := false
	for i, c := range []byte(list) {
		switch {
		case c == '[' && within, c == ']' && !within:
			return "", errors.New("brackets do not match")
		case c == '[' || c == ']':
			within = c == '['
		case c == ',' && !within:
			return list[:i], nil
		case c <= ' ' || c > '~':
			return "", fmt.Errorf("character %q is not allowed", c)
		}
	}
	if within {
		return "", errors.New("brackets do not match")
	}
	return list, nil
}

func expand(names []string, word string) ([]string, error) {
	prefix, rest, found := strings.Cut(word, "[")
	if !found {
		if word == "" {
			return nil, errors.New("a name is empty")
		}
		return append(names, word), nil
	}
	ids, suffix, _ := strings.Cut(rest, "]")
	if strings.ContainsAny(suffix, "[]") {
		return nil, errors.New("more than one pair of brackets in a name")
	}
	width := 0
	for i, id := range strings.Split(ids, ",") {
		low, high, isRange := strings.Cut(id, "-")
		if !isRange {
			high = low
		}
		from, fromErr := number(low)
		to, toErr := number(high)
		switch {
		case fromErr != nil || toErr != nil || to < from:
			return nil, fmt.Errorf("%.32q is not a number or a range of numbers", id)
		case to-from >= maxHosts || len(names)+int(to-from) >= maxHosts: //nolint:gosec // it is below maxHosts
			return nil, fmt.Errorf("it has more than %d names", maxHosts)
		case i == 0 && low[0] == '0':
			width = len(low)
		}
		for n := from; n <= to; n++ {
			names = append(names, fmt.Sprintf("%s%0*d%s", prefix, width, n, suffix))
		}
	}
	return names, nil
}

func number(s string) (uint64, error) {
	if s == "" || len(s) > maxDigits || strings.Trim(s, "0123456789") != "" {
		return 0, errors.New("not a number")
	}
	return strconv.ParseUint(s, 10, 64)
}
