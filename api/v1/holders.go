package apiv1

// Holder is a host that holds a part of a checkpoint, and which machine of that name does, by its node id; 0: it is not known which.
type Holder struct {
	Host string
	Node uint64
}

// Holders are the hosts that hold the part: the one that has made it first.
func (x *CheckpointPart) Holders() []Holder {
	out := append(make([]Holder, 0, 3), Holder{x.GetHost(), x.GetHostNode()})
	if x.GetSecond() != "" {
		out = append(out, Holder{x.GetSecond(), x.GetSecondNode()})
	}
	if x.GetThird() != "" {
		out = append(out, Holder{x.GetThird(), x.GetThirdNode()})
	}
	return out
}
