package worker

import (
	"fmt"
	"os"
	"slices"
	"strings"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// volumes are what the servers are told of this host's volumes, by name.
func (c *Config) volumes() []*apiv1.Volume {
	var out []*apiv1.Volume
	for name, v := range c.Volumes {
		out = append(out, &apiv1.Volume{Name: name, ReadOnly: v.ReadOnly})
	}
	slices.SortFunc(out, func(a, b *apiv1.Volume) int { return strings.Compare(a.GetName(), b.GetName()) })
	return out
}

// mounts are the directories of this host that an app's ranks see.
func (w *Worker) mounts(spec *apiv1.AppSpec) ([]*apiv1.ExecMount, error) {
	var out []*apiv1.ExecMount
	for _, m := range spec.GetMounts() {
		v, ok := w.cfg.Volumes[m.GetVolume()]
		if !ok {
			return nil, fmt.Errorf("host %s offers no volume %s any more", w.cfg.Name, m.GetVolume())
		}
		if st, err := os.Stat(v.Dir); err != nil || !st.IsDir() {
			return nil, fmt.Errorf("volume %s of host %s is not there: %s is no directory", m.GetVolume(), w.cfg.Name, v.Dir)
		}
		if v.ReadOnly && m.GetWritable() {
			return nil, fmt.Errorf("volume %s of host %s may not be written to any more", m.GetVolume(), w.cfg.Name)
		}
		out = append(out, &apiv1.ExecMount{Path: m.GetPath(), HostPath: v.Dir, ReadOnly: v.ReadOnly || m.GetReadOnly(), Name: m.GetVolume()})
	}
	return out, nil
}
