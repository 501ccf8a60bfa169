package cri_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/internal/testkit/critest"
	"github.com/imagefit/imagefit/pkg/cri"
)

// noCopier fails if the goroutine of a finished call, started from a test with this name, still runs.
func noCopier(t *testing.T) {
	t.Helper()
	buf := make([]byte, 4<<20)
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if !strings.Contains(string(buf[:runtime.Stack(buf, true)]), "pkg/cri.copyRequests") {
			return
		}
		if time.Now().After(end) {
			t.Fatal("copyRequests outlives its call")
		}
	}
}

func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func chat(ctx context.Context, t *testing.T, conn *grpc.ClientConn) grpc.ClientStream {
	t.Helper()
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true},
		"/future.v2.Service/Chat", grpc.ForceCodecV2(cri.Codec()))
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

func send(t *testing.T, stream interface{ SendMsg(any) error }, text string) {
	t.Helper()
	if err := stream.SendMsg(cri.NewFrame([]byte(text))); err != nil {
		t.Fatal(err)
	}
}

func receive(t *testing.T, stream interface{ RecvMsg(any) error }) string {
	t.Helper()
	var frame cri.Frame
	if err := stream.RecvMsg(&frame); err != nil {
		t.Fatal(err)
	}
	defer frame.Free()
	return string(frame.Bytes())
}

// TestStreamForwardsBothSidesAsMessagesCome sends one message after the other from either
// side, which a forwarder that waits for one side to finish does not survive.
func TestStreamForwardsBothSidesAsMessagesCome(t *testing.T) {
	path := critest.Socket(t)
	critest.StartRaw(t, path, func(s grpc.ServerStream) error {
		if err := s.SendMsg(cri.NewFrame([]byte("who is there?"))); err != nil {
			return err
		}
		for {
			var frame cri.Frame
			switch err := s.RecvMsg(&frame); err {
			case nil:
			case io.EOF:
				return s.SendMsg(cri.NewFrame([]byte("goodbye")))
			default:
				return err
			}
			switch text := string(frame.Bytes()); text {
			case "end":
				return nil
			case "fail":
				return status.Error(codes.DataLoss, "as asked")
			default:
				if err := s.SendMsg(cri.NewFrame([]byte("you sent " + text))); err != nil {
					return err
				}
			}
		}
	})
	_, proxied := pair(t, path)
	cases := []struct {
		name string
		last string
		want codes.Code
	}{
		{"the runtime ends it", "end", codes.OK},
		{"the runtime fails it", "fail", codes.DataLoss},
		{"the client half-closes", "", codes.OK},
		{"the client goes away", "cancel", codes.Canceled},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			stream := chat(ctx, t, proxied)
			if got := receive(t, stream); got != "who is there?" {
				t.Fatalf("received %q before sending anything", got)
			}
			for _, text := range []string{"one", "two"} {
				send(t, stream, text)
				if got := receive(t, stream); got != "you sent "+text {
					t.Fatalf("received %q", got)
				}
			}
			switch c.last {
			case "":
				_ = stream.CloseSend()
				if got := receive(t, stream); got != "goodbye" {
					t.Fatalf("received %q", got)
				}
			case "cancel":
				cancel()
			default:
				send(t, stream, c.last)
			}
			err := stream.RecvMsg(new(cri.Frame))
			if err == io.EOF {
				err = nil
			}
			if status.Code(err) != c.want {
				t.Errorf("ended with %v, want %v", err, c.want)
			}
			noCopier(t)
		})
	}
}

// TestHeaderOfAStreamComesBeforeItsMessages checks that a client which waits for the header need not wait for a message.
func TestHeaderOfAStreamComesBeforeItsMessages(t *testing.T) {
	t.Parallel()
	for _, method := range []string{eventsMethod, "/future.v2.Service/Chat"} {
		path := critest.Socket(t)
		critest.StartRaw(t, path, func(s grpc.ServerStream) error {
			if err := s.SendHeader(metadata.Pairs("x-h", "early")); err != nil {
				return err
			}
			<-s.Context().Done()
			return nil
		})
		_, proxied := pair(t, path)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		stream, err := proxied.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method, grpc.ForceCodecV2(cri.Codec()))
		if err != nil {
			t.Fatal(err)
		}
		send(t, stream, "events, please")
		if header, _ := stream.Header(); len(header["x-h"]) != 1 {
			t.Errorf("%s: header is %v", method, header)
		}
		cancel()
	}
}

func TestCallsFailAtOnceWhileTheRuntimeIsAway(t *testing.T) {
	t.Parallel()
	path := critest.Socket(t)
	backend, proxyPath := startProxy(t, path)
	client := runtimeapi.NewRuntimeServiceClient(critest.Dial(t, proxyPath))
	away := func() {
		t.Helper()
		start := time.Now()
		_, err := client.Version(t.Context(), &runtimeapi.VersionRequest{})
		if status.Code(err) != codes.Unavailable || !strings.HasPrefix(status.Convert(err).Message(), "imagefit: the runtime at unix://"+path+" is not answering: ") {
			t.Errorf("got %v", err)
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("failed only after %v", took)
		}
		stream, err := client.GetContainerEvents(t.Context(), &runtimeapi.GetEventsRequest{})
		if err == nil {
			_, err = stream.Recv()
		}
		if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "imagefit: the runtime at") {
			t.Errorf("stream: got %v", err)
		}
	}
	back := func() {
		t.Helper()
		for end := time.Now().Add(6 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			_, err := client.Version(t.Context(), &runtimeapi.VersionRequest{})
			if err == nil {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("still not back: %v", err)
			}
		}
	}
	away()
	stop := critest.Start(t, path, &critest.Runtime{})
	back()
	stop()
	_ = os.Remove(path)
	if !backend.AwaitLoss(soon(t)) { // a call before that fails as one that the runtime dies in
		t.Fatal("the loss of the connection goes unnoticed")
	}
	away()
	critest.Start(t, path, &critest.Runtime{})
	back()
}

// TestRuntimeRestartBetweenCallsFailsNone: between two calls, without one failing in between.
func TestRuntimeRestartBetweenCallsFailsNone(t *testing.T) {
	t.Parallel()
	path := critest.Socket(t)
	stop := critest.Start(t, path, &critest.Runtime{})
	backend, proxyPath := startProxy(t, path)
	client := runtimeapi.NewRuntimeServiceClient(critest.Dial(t, proxyPath))
	for range 3 {
		if _, err := client.Version(t.Context(), &runtimeapi.VersionRequest{}); err != nil {
			t.Fatal(err)
		}
		stop()
		_ = os.Remove(path)
		stop = critest.Start(t, path, &critest.Runtime{})
		if !backend.AwaitLoss(soon(t)) {
			t.Fatal("the loss of the connection goes unnoticed")
		}
	}
}

// TestCallFailsWhenTheRuntimeDiesDuringIt: the client has to learn of it, as it would without the proxy.
func TestCallFailsWhenTheRuntimeDiesDuringIt(t *testing.T) {
	t.Parallel()
	path := critest.Socket(t)
	began := make(chan struct{})
	stop := critest.Start(t, path, &critest.Runtime{OnVersion: func(ctx context.Context, _ *runtimeapi.VersionRequest) (*runtimeapi.VersionResponse, error) {
		close(began)
		<-ctx.Done()
		return nil, ctx.Err()
	}})
	_, proxied := pair(t, path)
	go func() {
		<-began
		stop()
	}()
	_, err := runtimeapi.NewRuntimeServiceClient(proxied).Version(t.Context(), &runtimeapi.VersionRequest{})
	if status.Code(err) != codes.Unavailable {
		t.Errorf("got %v", err)
	}
}

// TestConcurrentCallsDoNotShareBuffers: a buffer that went back to the pool too early would show up in another call.
func TestConcurrentCallsDoNotShareBuffers(t *testing.T) {
	t.Parallel()
	path := critest.Socket(t)
	critest.StartRaw(t, path, func(s grpc.ServerStream) error {
		var frame cri.Frame
		if err := s.RecvMsg(&frame); err != nil {
			return err
		}
		defer frame.Free()
		return s.SendMsg(&frame)
	})
	_, proxied := pair(t, path)
	for i := range 16 {
		method := []string{versionMethod, eventsMethod, "/future.v2.Service/Chat"}[i%3]
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			for n := range 60 {
				want := bytes.Repeat([]byte{byte(i), byte(n)}, n*n*10)
				got := observe(t, proxied, method, nil, want)
				if len(got.Messages) != 1 || !bytes.Equal(got.Messages[0], want) {
					t.Fatalf("%s: call %d came back with %d messages, status %q", method, n, len(got.Messages), got.Status)
				}
			}
		})
	}
}
