// Package wasm is the engine that guests run on: it inspects and compiles modules, instantiates them,
// gives them their host functions, freezes them, and captures and restores their state.
//
// An Engine compiles a Module once; each rank is a Guest made from it by New, or by Restore from an
// image. See DESIGN.md for how a guest is frozen in the middle of a call.
package wasm
