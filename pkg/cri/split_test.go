package cri_test

import (
	"context"
	"os"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/internal/testkit/critest"
	"github.com/imagefit/imagefit/pkg/cri"
)

// TestImageServiceHasASocketOfItsOwn: its calls go there, forwarded or imagefit's own, and all others to the runtime.
func TestImageServiceHasASocketOfItsOwn(t *testing.T) {
	t.Parallel()
	serve := func(name string) string {
		path := critest.Socket(t)
		critest.StartStrictRaw(t, path, func(s grpc.ServerStream) error {
			method, _ := grpc.MethodFromServerStream(s)
			return status.Error(codes.DataLoss, name+" has "+method)
		})
		return path
	}
	runtime, images := serve("runtime"), serve("images")
	backend, err := cri.NewSplitBackend(runtime, "unix://"+images)
	if err != nil {
		t.Fatal(err)
	}
	proxied := critest.Dial(t, serveProxy(t, backend, runtime))
	for method, want := range map[string]string{
		runtimeapi.ImageService_PullImage_FullMethodName:            "images",
		runtimeapi.ImageService_ListImages_FullMethodName:           "images",
		"/runtime.v1.ImageService/StreamImages":                     "images",
		"/runtime.v2.ImageService/New":                              "images",
		runtimeapi.RuntimeService_Version_FullMethodName:            "runtime",
		runtimeapi.RuntimeService_GetContainerEvents_FullMethodName: "runtime",
		"/containerd.services.images.v1.Images/List":                "runtime",
		"/other.ImageService/Get":                                   "runtime",
	} {
		for who, conn := range map[string]grpc.ClientConnInterface{"forwarded": proxied, "own": backend} {
			err := conn.Invoke(soon(t), method, cri.NewFrame(nil), new(cri.Frame), grpc.ForceCodecV2(cri.Codec()))
			if got := status.Convert(err).Message(); got != want+" has "+method {
				t.Errorf("%s %s: %v", who, method, err)
			}
		}
	}
}

// TestImageServiceThatIsAwayIsNamed, and the runtime still answers.
func TestImageServiceThatIsAwayIsNamed(t *testing.T) {
	t.Parallel()
	runtime, images := critest.Socket(t), critest.Socket(t)
	critest.StartStrict(t, runtime, &critest.Runtime{})
	backend, err := cri.NewSplitBackend(runtime, images)
	if err != nil {
		t.Fatal(err)
	}
	proxied := critest.Dial(t, serveProxy(t, backend, runtime))
	if _, err := runtimeapi.NewRuntimeServiceClient(proxied).Version(soon(t), &runtimeapi.VersionRequest{}); err != nil {
		t.Error(err)
	}
	list := func() error {
		_, err := runtimeapi.NewImageServiceClient(proxied).ListImages(soon(t), &runtimeapi.ListImagesRequest{})
		return err
	}
	if err := list(); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "the image service at unix://"+images+" is not answering") {
		t.Errorf("got %v", err)
	}
	critest.StartStrict(t, images, &critest.Runtime{OnImages: func(context.Context, *runtimeapi.ListImagesRequest) (*runtimeapi.ListImagesResponse, error) {
		return &runtimeapi.ListImagesResponse{}, nil
	}})
	for ctx := soon(t); list() != nil; {
		if ctx.Err() != nil {
			t.Fatal("the image service is back, but calls do not reach it")
		}
	}
	if _, err := os.Stat(images); err != nil {
		t.Error(err)
	}
}

func TestEndpointsOfABackendAreSockets(t *testing.T) {
	t.Parallel()
	for _, endpoints := range [][2]string{{"tcp://x", ""}, {"/run/a.sock", "tcp://x"}} {
		if _, err := cri.NewSplitBackend(endpoints[0], endpoints[1]); err == nil {
			t.Errorf("%q were taken", endpoints)
		}
	}
}
