package images

import (
	"context"

	"github.com/imagefit/imagefit/internal/testkit/fakeruntime"
)

// newFake returns a containerd and its Store.
func newFake() (*fakeruntime.Runtime, *Store) {
	f := fakeruntime.New(nil)
	return f, New(f.Conn(), "k8s.io")
}

// failing makes calls of a method fail.
func failing(method string, err error) func(context.Context, string, string) error {
	return func(_ context.Context, called, _ string) error {
		if called == method {
			return err
		}
		return nil
	}
}
