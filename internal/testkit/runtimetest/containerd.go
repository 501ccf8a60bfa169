package runtimetest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"testing"
	"time"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	eventsapi "github.com/containerd/containerd/api/services/events/v1"
	imagesapi "github.com/containerd/containerd/api/services/images/v1"
	leasesapi "github.com/containerd/containerd/api/services/leases/v1"
	"github.com/opencontainers/go-digest"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
)

func recordMade(t *testing.T, c client) {
	app := c.Push(t, "app", 2)
	c.pull(t, app.At(app.Manifests[1]))
	c.wantID(t, app.Name(), "")
	index := app.At(app.Index) // points at the manifest, whatever its digest says
	for _, name := range []string{app.Name(), index} {
		c.create(t, name, app.Manifests[1])
		c.await(t, name, app.IDs[1])
	}
	if tags := c.status(t, app.IDs[1]).GetRepoTags(); len(tags) != 1 || tags[0] != app.Name() {
		t.Errorf("the image has the tags %v, want %s", tags, app.Name())
	}
}

func recordMoved(t *testing.T, c client) {
	app := c.Push(t, "app", 2)
	for _, manifest := range app.Manifests {
		c.pull(t, app.At(manifest))
	}
	c.create(t, app.Name(), app.Manifests[0])
	c.await(t, app.Name(), app.IDs[0])
	_, err := c.images.Update(c.scoped, &imagesapi.UpdateImageRequest{
		Image: record(app.Name(), app.Manifests[1]), UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"target"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	c.await(t, app.Name(), app.IDs[1])
	c.wantID(t, app.At(app.Manifests[0]), app.IDs[0])
}

func recordRemoved(t *testing.T, c client) {
	app := c.Push(t, "app", 1)
	c.pull(t, app.At(app.Manifests[0]))
	c.create(t, app.Name(), app.Manifests[0])
	c.await(t, app.Name(), app.IDs[0])
	if _, err := c.images.Delete(c.scoped, &imagesapi.DeleteImageRequest{Name: app.Name(), Sync: true}); err != nil {
		t.Fatal(err)
	}
	c.await(t, app.Name(), "")
	c.wantID(t, app.At(app.Manifests[0]), app.IDs[0])
}

func recordTwice(t *testing.T, c client) {
	app := c.Push(t, "app", 2)
	c.pull(t, app.At(app.Manifests[0]))
	c.create(t, app.Name(), app.Manifests[0])
	_, err := c.images.Create(c.scoped, &imagesapi.CreateImageRequest{Image: record(app.Name(), app.Manifests[1])})
	wantCode(t, "create what is there", err, codes.AlreadyExists)
	if target := c.get(t, app.Name()).GetTarget().GetDigest(); target != app.Manifests[0].Digest.String() {
		t.Errorf("the record points at %s, want %s as before", target, app.Manifests[0].Digest)
	}
	list, err := c.images.List(c.scoped, &imagesapi.ListImagesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, image := range list.GetImages() {
		if image.GetName() == app.Name() && image.GetTarget().GetDigest() == app.Manifests[0].Digest.String() {
			found++
		}
	}
	if found != 1 {
		t.Errorf("the record is in the list %d times", found)
	}
}

func recordMask(t *testing.T, c client) {
	app := c.Push(t, "app", 2)
	c.pull(t, app.At(app.Manifests[0]))
	c.create(t, app.Name(), app.Manifests[0])
	update := record(app.Name(), app.Manifests[1])
	update.Labels = map[string]string{"example.org/first": "2", "example.org/second": "2", "example.org/third": "2"}
	for _, step := range []struct {
		paths  []string
		target digest.Digest
		labels map[string]string
	}{
		{
			[]string{"labels.example.org/second"}, app.Manifests[0].Digest,
			map[string]string{"io.cri-containerd.image": "managed", "example.org/first": "1", "example.org/second": "2"},
		},
		{
			[]string{"target", "labels.example.org/first"}, app.Manifests[1].Digest,
			map[string]string{"io.cri-containerd.image": "managed", "example.org/first": "2", "example.org/second": "2"},
		},
	} {
		request := &imagesapi.UpdateImageRequest{Image: update, UpdateMask: &fieldmaskpb.FieldMask{Paths: step.paths}}
		if _, err := c.images.Update(c.scoped, request); err != nil {
			t.Fatal(err)
		}
		got := c.get(t, app.Name())
		if got.GetTarget().GetDigest() != step.target.String() || !maps.Equal(got.GetLabels(), step.labels) {
			t.Errorf("after an update of %v: %s %v, want %s %v", step.paths, got.GetTarget().GetDigest(), got.GetLabels(), step.target, step.labels)
		}
	}
}

func recordMissing(t *testing.T, c client) {
	app := c.Push(t, "app", 1)
	_, err := c.images.Get(c.scoped, &imagesapi.GetImageRequest{Name: app.Name()})
	wantCode(t, "get", err, codes.NotFound)
	_, err = c.images.Update(c.scoped, &imagesapi.UpdateImageRequest{
		Image: record(app.Name(), app.Manifests[0]), UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"target"}},
	})
	wantCode(t, "update", err, codes.NotFound)
	_, err = c.images.Delete(c.scoped, &imagesapi.DeleteImageRequest{Name: app.Name()})
	wantCode(t, "delete", err, codes.NotFound)
}

func content(t *testing.T, c client) {
	app := c.Push(t, "app", 1)
	c.pull(t, app.At(app.Manifests[0]))
	for _, d := range []digest.Digest{app.Manifests[0].Digest, digest.Digest(app.IDs[0])} {
		body, err := c.read(d)
		if err != nil || digest.FromBytes(body) != d {
			t.Errorf("%s reads as %q, %v", d, body, err)
		}
		info, err := c.content.Info(c.scoped, &contentapi.InfoRequest{Digest: d.String()})
		if err != nil || info.GetInfo().GetSize() != int64(len(body)) {
			t.Errorf("%s is %v, %v, want %d bytes", d, info, err, len(body))
		}
	}
	_, err := c.read(missing())
	wantCode(t, "read what is not there", err, codes.NotFound)
	_, err = c.content.Info(c.scoped, &contentapi.InfoRequest{Digest: missing().String()})
	wantCode(t, "info of what is not there", err, codes.NotFound)
}

func (c client) read(d digest.Digest) ([]byte, error) {
	stream, err := c.content.Read(c.scoped, &contentapi.ReadContentRequest{Digest: d.String()})
	if err != nil {
		return nil, err
	}
	var body bytes.Buffer
	for {
		part, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return body.Bytes(), nil
		}
		if err != nil {
			return nil, err
		}
		body.Write(part.GetData())
	}
}

// contentWritten writes content in one message, twice, as package images does.
func contentWritten(t *testing.T, c client) {
	body := []byte(`{"schemaVersion": 2, "manifests": []}`)
	name := digest.FromBytes(body)
	lease, err := c.leases.Create(c.scoped, &leasesapi.CreateRequest{
		ID: "a-lease", Labels: map[string]string{"containerd.io/gc.expire": time.Now().Add(time.Hour).UTC().Format(time.RFC3339)},
	})
	if err != nil {
		t.Fatal(err)
	}
	write := func(data []byte) error {
		ctx := metadata.AppendToOutgoingContext(c.scoped, "containerd-lease", lease.GetLease().GetID())
		stream, err := c.content.Write(ctx)
		if err != nil {
			return err
		}
		defer func() { _ = stream.CloseSend() }()
		if err := stream.Send(&contentapi.WriteContentRequest{
			Action: contentapi.WriteAction_COMMIT, Ref: "a-write", Total: int64(len(data)), Expected: name.String(), Data: data,
		}); err != nil {
			return err
		}
		_, err = stream.Recv()
		return err
	}
	if err := write(body[1:]); err == nil {
		t.Error("content was written under another digest")
	}
	if err := write(body); err != nil {
		t.Fatal(err)
	}
	if info, err := c.content.Info(c.scoped, &contentapi.InfoRequest{Digest: name.String()}); err != nil || info.GetInfo().GetSize() != int64(len(body)) {
		t.Errorf("info %v, %v", info, err)
	}
	wantCode(t, "write what is there", write(body), codes.AlreadyExists)
	if _, err := c.leases.Delete(c.scoped, &leasesapi.DeleteRequest{ID: lease.GetLease().GetID()}); err != nil {
		t.Error(err)
	}
}

func namespaced(t *testing.T, c client) {
	app := c.Push(t, "app", 1)
	c.pull(t, app.At(app.Manifests[0]))
	_, err := c.images.Create(c.ctx, &imagesapi.CreateImageRequest{Image: record(app.Name(), app.Manifests[0])})
	wantCode(t, "create", err, codes.FailedPrecondition)
	stream, err := c.content.Read(c.ctx, &contentapi.ReadContentRequest{Digest: app.Manifests[0].Digest.String()})
	if err == nil {
		_, err = stream.Recv()
	}
	wantCode(t, "read", err, codes.FailedPrecondition)
}

// events makes and moves records until it is told of one: nothing says from when on
// a subscription is heeded.
func events(t *testing.T, c client) {
	app := c.Push(t, "app", 2)
	c.pull(t, app.At(app.Manifests[0]))
	stream, err := c.events.Subscribe(c.scoped, &eventsapi.SubscribeRequest{
		Filters: []string{`namespace=="k8s.io",topic=="/images/create"`, `namespace=="k8s.io",topic=="/images/update"`},
	})
	if err != nil {
		t.Fatal(err)
	}
	told := make(chan error, 1)
	go func() {
		topics := map[string]bool{}
		for len(topics) < 2 {
			event, err := stream.Recv()
			if err != nil {
				told <- err
				return
			}
			topics[event.GetTopic()] = true
		}
		told <- nil
	}()
	for i := 0; ; i++ {
		name := fmt.Sprintf("%s-%d", app.Name(), i)
		c.create(t, name, app.Manifests[0])
		_, err := c.images.Update(c.scoped, &imagesapi.UpdateImageRequest{
			Image: record(name, app.Manifests[1]), UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"target"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-told:
			if err != nil {
				t.Error(err)
			}
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}
