package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"

	"github.com/imagefit/imagefit/pkg/controller"
)

// Of the lease: how long it is good for, how long its owner tries to renew it, and how
// often anyone tries. An instance that ends gives it back.
const (
	leaseTime = 15 * time.Second
	renewTime = 10 * time.Second
	retryTime = 2 * time.Second
)

// elect runs the controller while this instance has the lease. Losing it ends the
// program, so that no two place pods at once.
func (i *instance) elect(ctx context.Context, namespace string) error {
	if namespace == "" {
		namespace = ownNamespace()
	}
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("name this instance: %w", err)
	}
	identity := fmt.Sprintf("%s-%d", host, os.Getpid())
	campaign, stop := context.WithCancel(ctx)
	defer stop()
	ran := make(chan error, 1)
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: &resourcelock.LeaseLock{
			LeaseMeta: metav1.ObjectMeta{Namespace: namespace, Name: controller.Program},
			Client:    i.cluster.typed.CoordinationV1(), LockConfig: resourcelock.ResourceLockConfig{Identity: identity},
		},
		LeaseDuration: leaseTime, RenewDeadline: renewTime, RetryPeriod: retryTime,
		Name: controller.Program, ReleaseOnCancel: true,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(ctx context.Context) {
				ran <- i.Run(ctx)
				stop()
			},
			OnStoppedLeading: func() {},
			OnNewLeader: func(leader string) {
				i.log.Info("an instance has the lease", "instance", leader, "this_one", leader == identity)
			},
		},
	})
	if err != nil {
		return fmt.Errorf("elect a leader: %w", err)
	}
	elector.Run(campaign)
	if !i.Leads() && ctx.Err() != nil {
		return nil
	}
	if err := <-ran; err != nil || ctx.Err() != nil {
		return err
	}
	return errors.New("lost the lease: another instance may place pods now")
}
