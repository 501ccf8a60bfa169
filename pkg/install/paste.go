package install

import "strings"

func pasteEKS(listen string) []Snippet {
	return []Snippet{{Title: "user data of a launch template or node class: two parts of its MIME document, beside the NodeConfig of the cluster", Text: strings.ReplaceAll(`--BOUNDARY
Content-Type: text/x-shellscript; charset="us-ascii"

#!/bin/bash
# A release of imagefit, unpacked in the AMI or fetched from your own bucket.
/opt/imagefit/imagefit install --platform containerd --no-verify

--BOUNDARY
Content-Type: application/node.eks.aws

---
apiVersion: node.eks.aws/v1alpha1
kind: NodeConfig
spec:
  kubelet:
    config:
      imageServiceEndpoint: LISTEN
`, "LISTEN", listen)}}
}

func pasteAKS(string) []Snippet {
	return []Snippet{{Title: "for nodes to come: a DaemonSet that runs the installer on the host, such as that of the chart", Text: `nsenter --target 1 --mount -- /opt/imagefit/imagefit install --platform aks
`}}
}

func pasteTalos(listen string) []Snippet {
	return []Snippet{
		{Title: "machine configuration (talosctl patch mc)", Text: strings.ReplaceAll(`machine:
  kubelet:
    extraConfig:
      imageServiceEndpoint: LISTEN
`, "LISTEN", listen)},
		{Title: "service of a system extension: /usr/local/etc/containers/imagefit.yaml, with the programs in /usr/local/lib/containers/imagefit", Text: `name: imagefit
depends:
  - service: cri
  - path: /run/containerd/containerd.sock
container:
  entrypoint: ./cri-proxy
  mounts:
    - source: /run
      destination: /run
      type: bind
      options: [rbind, rshared, rw]
    - source: /var
      destination: /var
      type: bind
      options: [rbind, rshared, rw]
    - source: /etc/cri/conf.d
      destination: /etc/cri/conf.d
      type: bind
      options: [rbind, ro]
restart: always
`},
	}
}

func pasteBottlerocket(string) []Snippet {
	return []Snippet{{Title: "what works there: imagefit-controller, which places pods by the facts of the nodes", Text: `kubectl apply -k deploy/kubernetes/base
`}}
}
