package cri

import (
	"bytes"
	"testing"

	"google.golang.org/grpc/mem"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// countingPool counts the buffers that came back.
type countingPool struct{ returned int }

func (p *countingPool) Get(n int) *[]byte { b := make([]byte, n); return &b }
func (p *countingPool) Put(*[]byte)       { p.returned++ }

// pooled is a slice of n buffers of pool, of 8 KiB each.
func pooled(pool mem.BufferPool, n int) mem.BufferSlice {
	var s mem.BufferSlice
	for i := range n {
		b := pool.Get(8 << 10)
		copy(*b, bytes.Repeat([]byte{byte('a' + i)}, len(*b)))
		s = append(s, mem.NewBuffer(b, pool))
	}
	return s
}

func TestFrameKeepsItsBuffersUntilItIsFreed(t *testing.T) {
	t.Parallel()
	pool := &countingPool{}
	codec := Codec()
	wire := pooled(pool, 3)
	want := wire.Materialize()

	var frame Frame
	if err := codec.Unmarshal(wire, &frame); err != nil {
		t.Fatal(err)
	}
	wire.Free() // as gRPC does after Unmarshal
	if pool.returned != 0 {
		t.Fatal("buffers went back while the frame has them")
	}
	out, err := codec.Marshal(&frame)
	if err != nil {
		t.Fatal(err)
	}
	if &out[0].ReadOnlyData()[0] != &wire[0].ReadOnlyData()[0] {
		t.Error("Marshal copied the payload")
	}
	frame.Free()
	if pool.returned != 0 || !bytes.Equal(out.Materialize(), want) {
		t.Fatal("buffers went back before gRPC freed them")
	}
	out.Free() // as gRPC does after writing
	if pool.returned != 3 {
		t.Errorf("%d of 3 buffers went back", pool.returned)
	}
	if len(frame.Bytes()) != 0 {
		t.Error("frame is not empty after Free")
	}
}

func TestFrameIsReusedWithoutLeak(t *testing.T) {
	t.Parallel()
	pool := &countingPool{}
	codec := Codec()
	var frame Frame
	for range 5 {
		wire := pooled(pool, 2)
		if err := codec.Unmarshal(wire, &frame); err != nil {
			t.Fatal(err)
		}
		wire.Free()
	}
	frame.Free()
	if pool.returned != 10 {
		t.Errorf("%d of 10 buffers went back", pool.returned)
	}
}

func TestFrameDecodesAndItsBytesOutliveIt(t *testing.T) {
	t.Parallel()
	codec := Codec()
	want := &runtimeapi.PullImageRequest{Image: &runtimeapi.ImageSpec{Image: "registry.example/app:1"}}
	data, err := codec.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	frame := NewFrame(data.Materialize())
	kept := frame.Bytes()
	var got runtimeapi.PullImageRequest
	if err := frame.Decode(&got); err != nil {
		t.Fatal(err)
	}
	if got.Image.Image != want.Image.Image {
		t.Errorf("got %q", got.Image.Image)
	}
	frame.Free()
	if !bytes.Equal(kept, data.Materialize()) {
		t.Error("bytes changed after Free")
	}
	if err := NewFrame([]byte{0xff}).Decode(&got); err == nil {
		t.Error("garbage was decoded")
	}
	if _, err := codec.Marshal("neither frame nor message"); err == nil {
		t.Error("a string was marshalled")
	}
}
