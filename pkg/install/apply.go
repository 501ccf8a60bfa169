package install

import (
	"os"
	"path"
	"path/filepath"
	"slices"
)

// makeAll makes the changes of the kubelet, or all others.
func (r *run) makeAll(changes []change, kubelet bool) error {
	for _, c := range changes {
		if c.kubelet != kubelet {
			continue
		}
		step := "write "
		if c.to == nil {
			step = "remove "
		}
		err := r.perform(step+c.path, func() error {
			if c.to != nil {
				if err := os.MkdirAll(filepath.Dir(r.path(c.path)), 0o755); err != nil {
					return err
				}
			}
			return r.do(c)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// folders are those that were made, and those that will be for these files.
func (r *run) folders(files []string) []string {
	all := slices.Clone(r.state.Folders)
	for _, file := range files {
		for _, folder := range r.missingFolders(file) {
			if !slices.Contains(all, folder) {
				all = append(all, folder)
			}
		}
	}
	// A crash before the first state was written leaves its folder.
	if folder := path.Dir(StatePath); r.state.Phase == "" && !slices.Contains(all, folder) && r.empty(folder) {
		all = append(all, folder)
	}
	return all
}

func (r *run) empty(folder string) bool {
	entries, err := os.ReadDir(r.path(folder))
	return err == nil && len(entries) == 0
}

func pathsOf(changes []change) (paths []string) {
	for _, c := range changes {
		if c.to != nil {
			paths = append(paths, c.path)
		}
	}
	return paths
}

// removeState removes the record, with it the folders that were made and are empty.
func (r *run) removeState() error {
	return r.perform("remove "+StatePath, func() error {
		folder := path.Dir(StatePath)
		made := slices.Contains(r.state.Folders, folder)
		for _, dir := range slices.Backward(r.state.Folders) {
			if dir != folder {
				_ = os.Remove(r.path(dir)) // others may have files there
			}
		}
		if made && !r.KeepState {
			if err := os.RemoveAll(r.path(folder)); err != nil {
				return err
			}
		} else if err := os.Remove(r.path(StatePath)); err != nil {
			return err
		}
		for _, dir := range slices.Backward(r.state.Folders) {
			_ = os.Remove(r.path(dir))
		}
		return nil
	})
}
