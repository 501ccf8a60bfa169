package hostfacts

import "github.com/imagefit/imagefit/pkg/hostfacts/operator"

// watchedDirs are the directories in which others leave facts.
func watchedDirs() []string {
	return []string{operator.Dir, operator.FeaturesDir}
}

// watchedFiles are the files with facts that change while a node runs.
func watchedFiles() []string {
	return []string{"etc/os-release", "usr/lib/os-release"}
}
