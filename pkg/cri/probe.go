package cri

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Probe checks as a client whether a proxy serves.
type Probe struct {
	Socket    string // the proxy's
	Runtime   string // the runtime's
	Activated bool   // the proxy's socket belongs to the service manager
}

// Check asks for the runtime's version on a new connection to the proxy's socket, for half
// of the time that ctx leaves, and if that fails asks the runtime itself. It is an error
// only if the runtime then answers: otherwise a restart of the proxy would not help. The
// text says what the proxy does or waits for.
func (p Probe) Check(ctx context.Context) (string, error) {
	half, cancel := ctx, context.CancelFunc(func() {})
	if deadline, ok := ctx.Deadline(); ok {
		half, cancel = context.WithTimeout(ctx, time.Until(deadline)/2)
	}
	defer cancel()
	name, err := askVersion(half, p.Socket)
	if err == nil {
		return fmt.Sprintf("serving %s on %s", name, p.Socket), nil
	}
	if _, missing := os.Lstat(p.Socket); p.Activated && errors.Is(missing, fs.ErrNotExist) {
		return fmt.Sprintf("%s was removed and clients cannot connect: restart the socket unit", p.Socket), nil
	}
	switch _, direct := askVersion(ctx, p.Runtime); status.Code(direct) {
	case codes.OK:
	case codes.Unavailable: // it does not listen: the details of that are of no use
		return "waiting for the runtime at " + p.Runtime, nil
	default:
		return fmt.Sprintf("waiting for the runtime at %s: %s", p.Runtime, status.Convert(direct).Message()), nil
	}
	return "", fmt.Errorf("get the runtime's version through %s, while the runtime at %s answers directly: %w", p.Socket, p.Runtime, err)
}

// askVersion returns the name and version of the runtime that answers on a socket.
func askVersion(ctx context.Context, socket string) (string, error) {
	backend, err := NewBackend(socket)
	if err != nil {
		return "", err
	}
	defer func() { _ = backend.Close() }()
	reply, err := runtimeapi.NewRuntimeServiceClient(backend.conn).Version(ctx, &runtimeapi.VersionRequest{})
	if err != nil {
		return "", err
	}
	return reply.GetRuntimeName() + " " + reply.GetRuntimeVersion(), nil
}
