package catalog

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/imagefit/imagefit/internal/fsutil"
)

// maxPodsFile bounds what is read of a list of pods.
const maxPodsFile = 1 << 30

// ReadPods returns the images that pods use, from a file with a list of pods as kubectl
// get pods -A -o json prints it.
func ReadPods(path string) ([]string, error) {
	text, err := fsutil.ReadFile(path, maxPodsFile)
	if err != nil {
		return nil, err
	}
	type container struct {
		Image string `json:"image"`
	}
	type pod struct {
		Kind string `json:"kind"`
		Spec struct {
			Containers     []container `json:"containers"`
			InitContainers []container `json:"initContainers"`
			Ephemeral      []container `json:"ephemeralContainers"`
			Volumes        []struct {
				Image *struct {
					Reference string `json:"reference"`
				} `json:"image"`
			} `json:"volumes"`
		} `json:"spec"`
	}
	var list struct {
		pod

		Items []pod `json:"items"`
	}
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, fmt.Errorf("read %s: it is not what kubectl get pods -A -o json prints: %w", path, err)
	}
	if list.Kind == "Pod" {
		list.Items = append(list.Items, list.pod)
	}
	var images []string
	for _, p := range list.Items {
		for _, c := range slices.Concat(p.Spec.Containers, p.Spec.InitContainers, p.Spec.Ephemeral) {
			images = append(images, c.Image)
		}
		for _, v := range p.Spec.Volumes {
			if v.Image != nil {
				images = append(images, v.Image.Reference)
			}
		}
	}
	slices.Sort(images)
	images = slices.DeleteFunc(slices.Compact(images), func(image string) bool { return image == "" })
	if len(images) == 0 {
		return nil, fmt.Errorf("read %s: no pod in it has an image: write it with kubectl get pods -A -o json", path)
	}
	return images, nil
}
