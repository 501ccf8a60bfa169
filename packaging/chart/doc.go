// Package chart tests the Helm chart: with its own values it is what deploy/kubernetes has.
package chart
