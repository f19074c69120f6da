//go:build tools

// Package kit pins what the kit builds.
package kit

import (
	_ "go.etcd.io/etcd/server/v3"
)
