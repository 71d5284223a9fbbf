package main

import "runtime"

// ballastBytes is more than a server of a small cluster has on its heap, and little beside one of a large cluster.
const ballastBytes = 64 << 20

// ballast has the collector begin later. It does when the heap has doubled: a server with 8 MiB of state, which allocates as much for every few hundred
// commands, would have a fifth of its processor time go there. What is allocated here counts as heap, holds no pointers, and is never written to: it takes addresses
// and no memory. The heap may grow by as much more before it is collected. It lasts until drop is called.
func ballast() (drop func()) {
	b := make([]byte, ballastBytes)
	return func() { runtime.KeepAlive(b) }
}
