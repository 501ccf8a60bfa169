package imagefit

import "embed"

// Units are the units of the daemons, below deploy/systemd.
//
//go:embed deploy/systemd
var Units embed.FS
