//go:build linux && amd64

package native

import "golang.org/x/sys/cpu"

// Level is the level of this processor that objects are compiled for.
func Level() string {
	x := cpu.X86
	if x.HasAVX2 && x.HasBMI1 && x.HasBMI2 && x.HasFMA && x.HasOSXSAVE {
		return "x86-64-v3"
	}
	if x.HasSSE42 && x.HasPOPCNT && x.HasSSSE3 {
		return "x86-64-v2"
	}
	return ""
}
