package apiv1

import (
	"slices"

	"google.golang.org/protobuf/proto"
)

// Programs is what an app's ranks run, from rank 0 on: its parts, or the one program of all ranks.
func (x *AppSpec) Programs() []*AppPart {
	if parts := x.GetParts(); len(parts) > 0 {
		return parts
	}
	return []*AppPart{{Name: x.GetName(), ModuleDigest: x.GetModuleDigest(), Args: x.GetArgs(), Env: x.GetEnv(), Ranks: x.GetSize(), Program: x.GetProgram()}}
}

// Modules is the digests of the modules that an app runs, each once, in the order of its programs.
func (x *AppSpec) Modules() []string {
	if len(x.GetParts()) == 0 {
		return []string{x.GetModuleDigest()}
	}
	var digests []string
	for _, p := range x.GetParts() {
		if !slices.Contains(digests, p.GetModuleDigest()) {
			digests = append(digests, p.GetModuleDigest())
		}
	}
	return digests
}

// sameProgram says whether the ranks of two specs run the same.
func sameProgram(a, b *AppSpec) bool {
	return a == b || a.GetModuleDigest() == b.GetModuleDigest() && a.GetProgram() == b.GetProgram() && a.GetOwnerLeaseMs() == b.GetOwnerLeaseMs() && a.GetMemoryBytes() == b.GetMemoryBytes() && slices.Equal(a.GetArgs(), b.GetArgs()) && slices.Equal(a.GetEnv(), b.GetEnv()) &&
		a.GetDir() == b.GetDir() && a.GetStdin() == b.GetStdin() && proto.Equal(a.GetInputs(), b.GetInputs()) &&
		slices.EqualFunc(a.GetMounts(), b.GetMounts(), func(m, n *Mount) bool { return proto.Equal(m, n) }) &&
		slices.EqualFunc(a.GetParts(), b.GetParts(), func(p, q *AppPart) bool { return proto.Equal(p, q) })
}
