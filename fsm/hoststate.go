package fsm

import (
	"cmp"
	"slices"
	"strings"

	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// HostState says whether a host's worker is alive, as far as its lease tells. The
// leader writes it.
type HostState string

// States of a host. Lost and Left are final for an incarnation.
const (
	Ready HostState = "ready"
	Lost  HostState = "lost"
	Left  HostState = "left"
)

// Gone tells whether the host's incarnation is over.
func (s HostState) Gone() bool { return s == Lost || s == Left }

func (s HostState) known() bool { return s == Ready || s.Gone() }

// Wish is what people, or notices about the machine, want of a host. It is apart
// from its state: it outlives the worker's process, and the host's absence.
type Wish string

// Wishes.
const (
	// Schedulable hosts take new ranks. It is the wish of a host that nobody has
	// asked anything of.
	Schedulable Wish = "schedulable"
	// Cordoned hosts take no new ranks; those they have stay.
	Cordoned Wish = "cordoned"
	// Draining hosts take no new ranks; those they have are to be moved away.
	Draining Wish = "draining"
	// Evicting hosts will go, at their deadline.
	Evicting Wish = "evicting"
	// Drained hosts were draining, and nothing of any app is on them any more. Nobody asks
	// for it.
	Drained Wish = "drained"
)

var wishes = []Wish{Schedulable, Cordoned, Draining, Evicting} //nolint:gochecknoglobals // a constant

// Known tells whether a host can be given the wish.
func (w Wish) Known() bool { return slices.Contains(wishes, w) }

// ToBeLeft tells whether what is on the host is to be moved away.
func ToBeLeft(host *apiv1.Host) bool {
	wish := WishOf(host)
	return wish == Draining || wish == Drained || wish == Evicting
}

// LeftBy is when a host that is to be left will be gone, or is to be empty; nil: nobody
// says.
func LeftBy(host *apiv1.Host) *timestamppb.Timestamp {
	by := host.GetDeadline()
	for _, w := range host.GetBesides() {
		if at := w.GetDeadline(); at != nil && (by == nil || at.AsTime().Before(by.AsTime())) {
			by = at
		}
	}
	return by
}

// HostStateOf is the host's state.
func HostStateOf(host *apiv1.Host) HostState { return HostState(host.GetState()) }

// WishOf is what is wanted of the host.
func WishOf(host *apiv1.Host) Wish {
	if host.GetWish() == "" {
		return Schedulable
	}
	return Wish(host.GetWish())
}

// unfit is the condition of a host that is ready, but cannot take new ranks.
// WhyUnfit says why.
const unfit = "unfit"

// TakesRanks tells whether the host may be given new ranks.
func TakesRanks(host *apiv1.Host) bool {
	return HostStateOf(host) == Ready && WishOf(host) == Schedulable && WhyUnfit(host) == ""
}

// WhyUnfit is why the host cannot take new ranks: what its worker says, else that
// others do not reach it. Empty: it can.
func WhyUnfit(host *apiv1.Host) string { return cmp.Or(host.GetUnfit(), host.GetUnreached()) }

// WhyNoRanks says what a host is that may be given no new ranks, with the reason if
// it is known; empty: it may.
func WhyNoRanks(host *apiv1.Host) string {
	why := WhyUnfit(host)
	switch {
	case TakesRanks(host):
		return ""
	case HostStateOf(host) != Ready:
		why = host.GetReason()
	case WishOf(host) != Schedulable:
		why = host.GetWishReason()
	}
	if why == "" {
		return Condition(host)
	}
	return Condition(host) + ": " + why
}

// Condition is the one word for people that says most of a host: that it is
// gone, else what is wanted of it, else that it is ready.
func Condition(host *apiv1.Host) string {
	if wish := WishOf(host); HostStateOf(host) == Ready && wish != Schedulable {
		return string(wish)
	}
	if HostStateOf(host) == Ready && WhyUnfit(host) != "" {
		return unfit
	}
	return host.GetState()
}

// Free is the number of ranks the host can take now: slots not used while it
// takes ranks, else 0. Never negative.
func Free(host *apiv1.Host) int {
	if !TakesRanks(host) {
		return 0
	}
	return max(0, int(host.GetSlots())-int(host.GetUsed()))
}

// WritableVolume stands behind the name of a volume that may be written to, where an app asks for that (Mount.writable). No volume's own name has it.
const WritableVolume = ":rw"

// VolumeNames are the names by which apps may ask for what a host offers: NAME for each volume, NAME:rw as well for one that may be written to.
func VolumeNames(host *apiv1.Host) []string {
	var out []string
	for _, v := range host.GetVolumes() {
		if out = append(out, v.GetName()); !v.GetReadOnly() {
			out = append(out, v.GetName()+WritableVolume)
		}
	}
	return out
}

// MountNames are the names of the volumes that an app asks its hosts for (VolumeNames), in order of its mounts.
func MountNames(spec *apiv1.AppSpec) []string {
	var out []string
	for _, m := range spec.GetMounts() {
		name := m.GetVolume()
		if m.GetWritable() {
			name += WritableVolume
		}
		out = append(out, name)
	}
	return out
}

// VolumeText is one of those names in a sentence, behind the word volume.
func VolumeText(name string) string {
	if volume, ok := strings.CutSuffix(name, WritableVolume); ok {
		return volume + " that may be written to"
	}
	return name
}

// LacksVolume is the first volume that an app mounts and the host does not offer (MountNames);
// empty: it offers them all.
func LacksVolume(host *apiv1.Host, spec *apiv1.AppSpec) string {
	if len(spec.GetMounts()) == 0 {
		return ""
	}
	offers := VolumeNames(host)
	for _, name := range MountNames(spec) {
		if !slices.Contains(offers, name) {
			return name
		}
	}
	return ""
}
