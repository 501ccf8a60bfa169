package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/imagefit/imagefit/pkg/criproxy"
	"github.com/imagefit/imagefit/pkg/health"
)

// commandLine is the name of the process of imagefit images, which makes image calls too.
const commandLine = "imagefit"

// usedCheck warns while nothing but the command line makes image calls: the kubelet makes
// one every few seconds where it uses the proxy.
func usedCheck(server *criproxy.Server, socket string) health.Check {
	return health.Check{Name: "clients", Optional: true, Probe: func(context.Context) error {
		if isUsed(server.Clients()) {
			return nil
		}
		return fmt.Errorf("no image calls since start: set the kubelet's imageServiceEndpoint to unix://%s and restart it", socket)
	}}
}

func isUsed(clients []criproxy.Client) bool {
	return slices.ContainsFunc(clients, func(c criproxy.Client) bool { return c.ImageCalls > 0 && c.Process != commandLine })
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
