package cri

import (
	"context"

	"google.golang.org/grpc/connectivity"
)

// AwaitLoss returns when the connection is no longer ready, or false when ctx ends.
func (b *Backend) AwaitLoss(ctx context.Context) bool {
	return b.conn.GetState() != connectivity.Ready || b.conn.WaitForStateChange(ctx, connectivity.Ready)
}
