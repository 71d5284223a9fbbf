package worker

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"connectrpc.com/connect/v2"
	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// TestArrivalsAreBounded: the log that comes with a rank has a bound, and its end says how much there is.
func TestArrivalsAreBounded(t *testing.T) {
	b := newBench(t)
	part := func(log []byte) *apiv1.TransferRequest {
		return &apiv1.TransferRequest{Msg: &apiv1.TransferRequest_Log{Log: log}}
	}
	end := func(n int) *apiv1.TransferRequest {
		return &apiv1.TransferRequest{Msg: &apiv1.TransferRequest_End{End: &apiv1.TransferEnd{LogBytes: int64(n)}}}
	}
	log := records(t, line(1, 0))
	for name, tt := range map[string]struct {
		before int64
		end    int
		want   connect.Code
	}{
		"whole": {0, len(log), 0},
		"less":  {0, len(log) - 1, connect.CodeDataLoss},
		"more":  {0, len(log) + 1, connect.CodeDataLoss},
		"bound": {maxLogFile - int64(len(log)) + 1, 0, connect.CodeInvalidArgument},
	} {
		a, err := b.a.host.newArrival(&apiv1.TransferHeader{App: "a", Migration: "m1", Rank: 1})
		require.NoError(t, err)
		a.size = tt.before
		err = a.add(part(log))
		if err == nil {
			err = a.add(end(tt.end))
		}
		require.Equal(t, tt.want == 0, a.whole, name)
		if tt.want != 0 {
			require.Equal(t, tt.want, connect.CodeOf(err), name)
		}
		a.close()
		require.NoFileExists(t, a.log.Name())
	}
}

// TestLogIsCheckedAsItComes: in whatever parts it comes, what is known of it is what reading it tells, and a damaged one is found out.
func TestLogIsCheckedAsItComes(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var lines []*apiv1.LogLine
	for i := range 300 {
		l := line(1, uint64(2*i))
		l.Text = bytes.Repeat([]byte("x"), rnd.IntN(3000))
		lines = append(lines, l)
	}
	log := records(t, lines...)
	want, err := readLog(bytes.NewReader(log), 1)
	require.NoError(t, err)
	check := func(log []byte) (*logCheck, error) {
		c := &logCheck{rank: 1}
		for len(log) > 0 {
			n := min(len(log), 1+rnd.IntN(5000))
			if err := c.add(log[:n]); err != nil {
				return c, err
			}
			log = log[n:]
		}
		return c, nil
	}
	c, err := check(log)
	require.NoError(t, err)
	require.Equal(t, want, c.facts)
	require.Empty(t, c.rest)
	c, err = check(log[:len(log)-1])
	require.NoError(t, err)
	require.NotEmpty(t, c.rest)
	require.Less(t, c.facts.size, want.size)
	for name, bad := range map[string][]byte{
		"noise":        bytes.Repeat([]byte{0xff}, 100),
		"a long one":   {0xff, 0xff, 0xff, 0x7f, 0},
		"another rank": records(t, line(0, 0)),
		"no line":      append([]byte{3}, "\xff\xff\xff"...),
	} {
		_, err := check(append(records(t, line(1, 0)), bad...))
		require.Error(t, err, name)
	}
}
