package daemon

import (
	"context"
	"time"

	"google.golang.org/grpc"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// listTimeout bounds how long a sweep of the cache waits for the runtime's images.
const listTimeout = 2 * time.Second

// KeepOnNode has the cache keep what was decided about the images that the runtime behind
// conn has.
func (d *Daemon) KeepOnNode(conn grpc.ClientConnInterface) {
	client := runtimeapi.NewImageServiceClient(conn)
	d.Cache.SetOnNode(func() ([]string, error) {
		ctx, cancel := context.WithTimeout(context.Background(), listTimeout)
		defer cancel()
		list, err := client.ListImages(ctx, &runtimeapi.ListImagesRequest{})
		if err != nil {
			return nil, err
		}
		ids := make([]string, 0, len(list.GetImages()))
		for _, image := range list.GetImages() {
			ids = append(ids, image.GetId())
		}
		return ids, nil
	})
}
