package criproxy

import (
	"sync/atomic"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// callCounts counts the calls that ended, by kind and code. Every call passes here, so it
// does nothing but add.
type callCounts [callKinds][codes.Unauthenticated + 2]atomic.Uint64

// otherCode is for codes that gRPC does not have.
const otherCode = codes.Unauthenticated + 1

func (c *callCounts) add(kind callKind, err error) {
	code := codes.OK
	if err != nil {
		s, ok := status.FromError(err)
		if !ok {
			s = status.FromContextError(err) // as gRPC itself does
		}
		code = min(s.Code(), otherCode)
	}
	c[kind][code].Add(1)
}

func (k callKind) String() string {
	return [callKinds]string{"intercepted", "unary", "streaming"}[k]
}

// Served calls each with how many calls of a kind ended with a gRPC code. Codes without
// calls are left out, except OK.
func (s *Server) Served(each func(kind, code string, count uint64)) {
	for kind := range callKinds {
		for code := range codes.Code(len(s.calls.ended[kind])) {
			count := s.calls.ended[kind][code].Load()
			name := code.String()
			if code == otherCode {
				name = "other"
			}
			if count > 0 || code == codes.OK {
				each(kind.String(), name, count)
			}
		}
	}
}
