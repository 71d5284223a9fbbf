package main

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

func TestAlarmText(t *testing.T) {
	require.Empty(t, alarmText(nil))
	said := alarmText([]*apiv1.Alarm{
		{Index: 7, What: "the books are\nwrong", At: timestamppb.Now()}, {Index: 9, What: "again", At: timestamppb.Now()},
	})
	for _, part := range []string{"2 alarms", "entry 7, ", ": the books are wrong\n", "entry 9, ", "godwit servers clear-alarms 9\n"} {
		require.Contains(t, said, part)
	}
}
