package criproxy

import (
	"log/slog"
	"net"
	"testing"

	"google.golang.org/grpc/peer"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// TestClientsAreCountedByProcess: image calls are told from others, and the proxy's own
// probes are not calls.
func TestClientsAreCountedByProcess(t *testing.T) {
	t.Parallel()
	c := newClients(slog.New(slog.DiscardHandler))
	s := &Server{clients: c}
	kubelet := &client{process: "kubelet"}
	c.byName["kubelet"] = kubelet
	for _, from := range []*client{kubelet, {isItself: true}} {
		ctx := peer.NewContext(t.Context(), &peer.Peer{Addr: clientAddr{&net.UnixAddr{}, from}})
		c.called(ctx, runtimeapi.RuntimeService_Version_FullMethodName)
		c.called(ctx, runtimeapi.ImageService_ListImages_FullMethodName)
	}
	got := s.Clients()
	if len(got) != 1 || got[0].Process != "kubelet" || got[0].Calls != 2 || got[0].ImageCalls != 1 || got[0].LastImage.IsZero() {
		t.Errorf("clients %+v", got)
	}
}
