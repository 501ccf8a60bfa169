package soak

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/imagefit/imagefit/integration/stack"
	"github.com/imagefit/imagefit/internal/testkit/bombs"
	"github.com/imagefit/imagefit/pkg/decisionlog"
)

// stranger pulls and runs what costs most, from registries of its own.
type stranger struct {
	tenant
	costly *image // fits, and costs much to evaluate
	bombs  []bombs.Bomb
}

// spared are bombs that containerd itself does not survive, with or without imagefit, as it takes gigabytes
// for what they list, and one that takes the soak a minute to make.
func spared(b bombs.Bomb) bool {
	return slices.Contains([]string{
		"index of 1.4 million entries", "8 nested indexes of 4 MiB", "256 entries, 16 bodies of 10000 attributes each",
	}, b.Name)
}

func (s *soak) newStranger(ctx context.Context) (*stranger, error) {
	x := &stranger{tenant: tenant{soak: s, name: "x", random: s.randomOf(1000)}, bombs: slices.DeleteFunc(bombs.All(), spared)}
	var err error
	x.costly, err = s.newCostly(ctx)
	return x, err
}

// newCostly pushes an image with eight artifacts of under 1 KB, which compare each kernel option of the
// node with regular expressions of a thousand instructions.
func (s *soak) newCostly(ctx context.Context) (*image, error) {
	repo := s.node.registry.Repo("x/costly")
	i := &image{repo: repo, name: "x/costly", ref: repo.Ref(tag), variants: map[string]string{}}
	_, manifests, err := repo.PushIndex(ctx, tag, stack.Image{Variant: "x/costly.1.amd64", User: fmt.Sprint(user), Platform: platformOf(plain)})
	if err != nil {
		return nil, err
	}
	for n := range 8 {
		patterns := strings.Repeat(fmt.Sprintf(`"(.*){240}Z{%d}",`, n+1), 9) + `"^AN_OPTION_001999$"`
		body := fmt.Sprintf(`{"version":"v1alpha1","compatibilities":[{"rules":[{"name":"x","matchFeatures":[`+
			`{"feature":"kernel.config","matchName":{"op":"InRegexp","value":[%s]}}]}]}]}`, patterns)
		artifact := stack.Artifact{
			Type: "application/vnd.nfd.image-compatibility.v1alpha1", LayerType: fmt.Sprintf("application/x%d", n), Body: []byte(body),
		}
		if _, err := repo.Attach(ctx, manifests[0], artifact); err != nil {
			return nil, err
		}
	}
	id, err := repo.Config(ctx, manifests[0])
	i.variants[id.String()], i.current = plain, map[string]bool{id.String(): true}
	return i, err
}

// step does one hostile thing.
func (x *stranger) step(ctx context.Context) {
	switch dice := x.random.IntN(10); {
	case dice < 5:
		x.bomb(ctx)
	case dice < 7 || x.costly.pulled == "":
		x.pullCostly(ctx)
	case dice < 9:
		x.run(ctx, x.costly)
	default:
		x.remove(ctx, x.costly)
	}
	x.pause(ctx)
}

// pullCostly pulls the costly image. Which case it is of policy does not matter: it has one variant.
func (x *stranger) pullCostly(ctx context.Context) {
	begin := time.Now()
	call, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	defer x.weather.slow(selectTimeout)()
	id, err := x.node.cri.Pull(call, x.costly.ref, stack.PullOptions{Pod: x.podName()})
	if err != nil {
		x.failed("pull", x.costly.ref, err, x.weather.during(begin.Add(-settle), time.Now()), runtimeAway|proxyAway|registryAway)
		x.costly.pulled = ""
		return
	}
	x.costly.pulled = id
	x.count("costly image pulled")
}

// bomb pulls from a registry that sends what is small to make and large to read, some of it several
// times at once. That no image comes of it is fine, but each pull leaves its record.
func (x *stranger) bomb(ctx context.Context) {
	what := x.bombs[x.random.IntN(len(x.bombs))]
	registry := bombs.New(what)
	defer registry.Close()
	begin, pods := time.Now(), []string{}
	done := make(chan error)
	for n := range 1 + x.random.IntN(4) {
		pod := x.podName()
		pods = append(pods, pod)
		go func() {
			call, cancel := context.WithTimeout(ctx, callLimit)
			defer cancel()
			_, err := x.node.cri.Pull(call, fmt.Sprintf("%s/tenant%d/app:1", registry.Host(), n), stack.PullOptions{Pod: pod})
			done <- err
		}()
	}
	for range pods {
		if err := <-done; err != nil {
			x.failed("bomb", what.Name, err, 1, 1)
		} else {
			x.count("bomb pulled")
		}
	}
	if x.weather.during(begin.Add(-settle), time.Now())&(diskBad|proxyAway|runtimeAway) == 0 && ctx.Err() == nil {
		for _, pod := range pods {
			x.wantRecord(decisionlog.Proxy, pod)
		}
	}
}

// pause lets the others have the machine.
func (x *stranger) pause(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(time.Duration(x.random.IntN(1500)) * time.Millisecond):
	}
}
