package cli

import "github.com/spf13/cobra"

// Program is what the help and the manual page of a daemon say.
type Program struct {
	Name, Short, Long string
}

// Programs lists the daemons.
func Programs() []Program { return []Program{CRIProxy(), NRIPlugin()} }

// CRIProxy describes cri-proxy.
func CRIProxy() Program {
	return Program{
		Name:  "cri-proxy",
		Short: "Choose the variant of an image that fits this node",
		Long: `cri-proxy is a CRI proxy in front of the container runtime. Point the kubelet's
imageServiceEndpoint at its socket; whenever an image index is pulled, it chooses
the variant that fits this node best. All other calls are forwarded untouched.

It may start before the runtime, reconnects to it whenever the connection is lost,
and on SIGTERM keeps serving until running pulls have finished. SIGHUP reloads the
configuration and detects the node's facts again.`,
	}
}

// NRIPlugin describes nri-plugin.
func NRIPlugin() Program {
	return Program{
		Name:  "nri-plugin",
		Short: "Refuse containers whose image does not fit this node",
		Long: `nri-plugin connects to the NRI socket of the container runtime and refuses to
create containers whose image does not fit this node. It evaluates the
requirements that cri-proxy found against the current facts of the node. It never
uses the network while a container waits, and reconnects after each restart of
the runtime. In the background it looks up the requirements of images that did
not come through cri-proxy.

The runtime may also launch it, from its plugin_path, under a name such as
10-imagefit: then it uses the connection that the runtime gives it, and the
configuration in plugin_config_path is a drop-in over that of this node.

With policy.mode = "audit" it only logs what it would refuse. SIGHUP reloads the
configuration and refreshes the facts.`,
	}
}

// Command returns the command line of a daemon, without what it runs.
func (p Program) Command(version string) *cobra.Command {
	cmd := &cobra.Command{
		Use: p.Name, Short: p.Short, Long: p.Long,
		Version: BuildVersion(version),
		Args:    cobra.NoArgs, SilenceErrors: true, SilenceUsage: true, DisableAutoGenTag: true,
	}
	ConfigFlags(cmd, cmd.Flags())
	return cmd
}
