package mpi

import (
	"slices"
	"strconv"
)

// Hints of files. cb_nodes, cb_buffer_size and the switches are heeded; the others that the standard or ROMIO name are kept and given back.
const (
	hintNodes    = "cb_nodes"
	hintBuffer   = "cb_buffer_size"
	hintCBRead   = "romio_cb_read"
	hintCBWrite  = "romio_cb_write"
	hintReadMore = "ind_rd_buffer_size"
	hintDSRead   = "romio_ds_read"
)

// fileHintFits reports whether a hint is one that is kept, and has a value that it may have.
func fileHintFits(key, value string) bool {
	switch key {
	case hintNodes, hintBuffer, hintReadMore, "ind_wr_buffer_size", "striping_factor", "striping_unit", "io_node_list", "nb_proc", "num_io_nodes", "cb_block_size":
		n, err := strconv.ParseInt(value, 10, 64)
		return err == nil && n > 0
	case hintCBRead, hintCBWrite, hintDSRead, "romio_ds_write", "romio_no_indep_rw":
		return slices.Contains([]string{"enable", "disable", "automatic", "true", "false"}, value)
	case "collective_buffering":
		return value == "true" || value == "false"
	case "access_style", "chunked", "chunked_item", "chunked_size", "file_perm", "filename":
		return true
	}
	return false
}

// fileHints are the defaults under what the program has given.
func fileHints(x *info) *info {
	y := &info{pairs: [][2]string{
		{hintBuffer, strconv.Itoa(defaultWindow)},
		{hintCBRead, "automatic"},
		{hintCBWrite, "automatic"},
		{hintReadMore, strconv.Itoa(mostScratch)},
		{hintDSRead, "automatic"},
	}}
	y.heed(x)
	return y
}

// heed takes those hints of a file that fit.
func (x *info) heed(given *info) {
	for _, kv := range given.pairs {
		if fileHintFits(kv[0], kv[1]) {
			x.set(kv[0], kv[1])
		}
	}
}

// value is that of a hint, empty if it is not there.
func (x *info) value(key string) string {
	if i := x.find(key); i >= 0 {
		return x.pairs[i][1]
	}
	return ""
}

// number is that of a hint, between bounds; def if it is not there.
func (x *info) number(key string, def, least, most int64) int64 {
	n, err := strconv.ParseInt(x.value(key), 10, 64)
	if err != nil {
		return def
	}
	return max(least, min(n, most))
}

type fileGetInfoArgs struct {
	fh       handle
	infoUsed address
}

func callFileGetInfo(p *Proc, a fileGetInfoArgs) error {
	f, err := p.file(a.fh)
	if err != nil {
		return err
	}
	x := f.info.clone()
	x.set(hintNodes, strconv.Itoa(f.aggregators()))
	return f.on(p.giveInfo(x, a.infoUsed))
}

type fileSetInfoArgs struct{ fh, info handle }

// callFileSetInfo takes hints. What says how collective accesses are made must be the same on all ranks, so the first rank's hold.
func callFileSetInfo(p *Proc, a fileSetInfoArgs) error {
	f, err := p.whole(a.fh)
	if err != nil {
		return err
	}
	_, err = p.step(f, 1, 0, func() ([]int64, error) { _, err := p.hints(a.info); return nil, err })
	if err != nil {
		return err
	}
	x, err := p.hints(a.info)
	if err != nil {
		return f.on(err)
	}
	p.changeHints(f, x)
	return nil
}

// changeHints takes hints; what the aggregators know is of the old ones.
func (p *Proc) changeHints(f *file, x *info) {
	f.info.heed(x)
	p.forgetViews(f)
	f.told, f.coded = 0, nil
}

// Collective buffering: by how many ranks, and in what parts, if the hints do not say.
const (
	defaultWindow = 4 << 20
	leastWindow   = 64 << 10
	mostWindow    = 64 << 20
	mostNodes     = 1 << 10
)

// aggregators is how many ranks access the file for all in a collective.
func (f *file) aggregators() int {
	n := f.comm().size()
	most := min(n, max(4, n/8))
	return min(n, int(f.info.number(hintNodes, int64(most), 1, mostNodes)))
}

// aggregator is the i-th of n of them: they are spread evenly, wherever ranks are.
func (f *file) aggregator(i, n int) int { return i * f.comm().size() / n }

// switched is what a hint of two ways says, for or against.
func (f *file) switched(key string) (on, off bool) {
	switch f.info.value(key) {
	case "enable", "true":
		return true, false
	case "disable", "false":
		return false, true
	}
	return false, false
}
