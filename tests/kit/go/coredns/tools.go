//go:build tools

// Package kit pins what the kit builds.
package kit

import (
	_ "github.com/coredns/coredns"
)
