// Package jepsen holds black-box tests of the godwit binary: real servers, workers and executors, each a process of its
// own, are stopped, killed and started again while programs run and ranks move, and what the programs print is compared
// with runs that nothing happened to. It has no code of its own besides its tests; see README.md.
package jepsen
