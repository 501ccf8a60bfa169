package criproxy

import (
	"log/slog"
	"net"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/imagefit/imagefit/internal/throttle"
)

// loop refuses calls that come back to the proxy that sent them: each would be sent again,
// for ever.
type loop struct {
	log    *slog.Logger
	logged throttle.Throttle
}

func (l *loop) refuse(socket net.Addr, endpoint string) error {
	if l.logged.Allow() {
		l.log.Error("the runtime's socket leads back to this proxy, calls fail: set runtime.endpoint to the runtime's own socket",
			"socket", socket.String(), "runtime", endpoint)
	}
	return status.Errorf(codes.FailedPrecondition, "imagefit: the proxy at unix://%s sends calls to %s, which leads back to it: "+
		"set runtime.endpoint and runtime.image_endpoint to sockets of the runtime", socket, endpoint)
}
