// Package policy is what the operator wants of decisions: the keys under [policy]
// with their values and meaning, how they differ by repository and pod, and the
// actions that follow. The keys are the fields of Answers and nothing else; the
// configuration, the metrics and the documentation derive theirs from there.
package policy
