package hostfacts

// watchedDirs are the directories in which others leave facts.
func watchedDirs() []string {
	return []string{operatorDir, featuresDir}
}

// watchedFiles are the files with facts that change while a node runs.
func watchedFiles() []string {
	return []string{"etc/os-release", "usr/lib/os-release"}
}
