package main

import (
	"context"
	"errors"

	"google.golang.org/grpc"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/pkg/health"
)

// checks are what makes the proxy ready: it listens until it is stopped, and the runtime
// answers.
func checks(term context.Context, runtime grpc.ClientConnInterface) []health.Check {
	return []health.Check{
		{Name: "listening", Probe: func(context.Context) error {
			if term.Err() != nil {
				return errors.New(stopping)
			}
			return nil
		}},
		{Name: "runtime", Probe: func(ctx context.Context) error {
			_, err := runtimeapi.NewRuntimeServiceClient(runtime).Version(ctx, &runtimeapi.VersionRequest{})
			return err
		}},
	}
}
