// Package gossip tells which Godwit processes are there and where, over memberlist. What it says is a hint: nothing is decided
// on it alone, and no command ever travels in it.
package gossip
