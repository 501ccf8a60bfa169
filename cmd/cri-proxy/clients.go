package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/imagefit/imagefit/pkg/criproxy"
	"github.com/imagefit/imagefit/pkg/health"
)

// usedCheck warns while nothing makes image calls: the kubelet makes one every few
// seconds where it uses the proxy.
func usedCheck(server *criproxy.Server, socket string) health.Check {
	return health.Check{Name: "clients", Optional: true, Probe: func(context.Context) error {
		if slices.ContainsFunc(server.Clients(), func(c criproxy.Client) bool { return c.ImageCalls > 0 }) {
			return nil
		}
		return fmt.Errorf("no image calls since start: set the kubelet's imageServiceEndpoint to unix://%s and restart it", socket)
	}}
}

func clientsOf(server *criproxy.Server) []health.ClientStatus {
	var all []health.ClientStatus
	for _, c := range server.Clients() {
		one := health.ClientStatus{Process: c.Process, PID: c.PID, Calls: c.Calls, ImageCalls: c.ImageCalls}
		if at := c.LastImage.UTC(); !c.LastImage.IsZero() {
			one.LastImageCall = &at
		}
		all = append(all, one)
	}
	return all
}
