package facts

import (
	"maps"
	"strings"
)

// labelNamespace is that of NFD's own labels. Their names are given without it.
const labelNamespace = "feature.node.kubernetes.io/"

// Labels returns the labels that NFD gives a node with these facts by default, such
// as cpu-cpuid.AVX2=true, without the prefix feature.node.kubernetes.io/. Labels of
// feature files keep other prefixes. What is absent or unknown has no label;
// Label tells the two apart.
func (f *Facts) Labels() map[string]string {
	labels := f.AllLabels()
	maps.DeleteFunc(labels, func(name, _ string) bool {
		_, isLocal := f.attributes["local.label"][name]
		_, isNamespaced := f.attributes["local.label"][labelNamespace+name]
		return !isLocal && !isNamespaced && !isDefaultLabel(name)
	})
	return labels
}

// AllLabels returns besides the labels that NFD makes only where it is configured to,
// such as those of most kernel options: every fact that NFD can label has its label.
func (f *Facts) AllLabels() map[string]string { return maps.Clone(f.allLabels()) }

// Label returns what is known of one label, with or without the prefix
// feature.node.kubernetes.io/. A label that no fact corresponds to is unknown.
func (f *Facts) Label(name string) Fact {
	name = strings.TrimPrefix(name, labelNamespace)
	if value, ok := f.allLabels()[name]; ok {
		return Fact{State: Present, Value: value}
	}
	for _, rule := range labelRules() {
		star, ok := rule.match(name)
		if !ok {
			continue
		}
		fact := rule.look(f, star)
		if fact.State == Present { // there, but of a value that has no label
			return Fact{State: Absent}
		}
		return fact
	}
	return Fact{Cause: "no fact corresponds to label " + name}
}

func (f *Facts) allLabels() map[string]string {
	f.labelOnce.Do(func() {
		f.labels = map[string]string{}
		for _, rule := range labelRules() {
			rule.each(f, func(star, value string) {
				f.putLabel(strings.Replace(rule.label, "*", star, 1), value)
			})
		}
		// Feature files override what NFD found, as in NFD.
		for name, value := range f.attributes["local.label"] {
			f.putLabel(strings.TrimPrefix(name, labelNamespace), value)
		}
	})
	return f.labels
}

// putLabel skips what Kubernetes does not accept as a label, as NFD does.
func (f *Facts) putLabel(name, value string) {
	if isLabelName(name) && (value == "" || isLabelWord(value)) {
		f.labels[name] = value
	}
}

// isLabelName reports whether name is a label word, with or without the prefix
// of a DNS name.
func isLabelName(name string) bool {
	if prefix, word, ok := strings.Cut(name, "/"); ok {
		const allowed = "abcdefghijklmnopqrstuvwxyz0123456789-."
		isDNS := prefix != "" && len(prefix) <= 253 && strings.Trim(prefix, allowed) == ""
		return isDNS && isLabelWord(word)
	}
	return isLabelWord(name)
}

// isLabelWord reports whether s has up to 63 letters, digits, dashes, underscores
// and dots, with a letter or digit at both ends.
func isLabelWord(s string) bool {
	if s == "" || len(s) > 63 || strings.Trim(s[:1]+s[len(s)-1:], "-_.") != s[:1]+s[len(s)-1:] {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool { return !IsLabelRune(r) })
}

// IsLabelRune reports whether label values can contain r.
func IsLabelRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.", r)
}
