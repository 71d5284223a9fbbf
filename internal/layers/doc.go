// Package layers has no code: its test holds the imports of every package of
// this module to the layer table of the design. Imports go down only. The rules
// of depguard in .golangci.yml say the same to whoever is writing an import;
// this test also sees what is imported indirectly, and packages that the table
// does not know.
package layers
