package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestParseSlurmTime(t *testing.T) {
	const day = 24 * time.Hour
	for text, want := range map[string]time.Duration{
		"30": 30 * time.Minute, "90": 90 * time.Minute, "5:30": 5*time.Minute + 30*time.Second, "0:30": 30 * time.Second,
		"1:02:03": time.Hour + 2*time.Minute + 3*time.Second, "00:10:00": 10 * time.Minute, "48:00:00": 48 * time.Hour,
		"2-0": 2 * day, "1-12": day + 12*time.Hour, "1-02:30": day + 2*time.Hour + 30*time.Minute, "7-00:00:01": 7*day + time.Second, "365-0": 365 * day,
		"0": 0, "0:00": 0, "00:00:00": 0, "0-0": 0, "INFINITE": 0, "unlimited": 0,
	} {
		got, err := parseSlurmTime("-t", text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{"", "x", "-5", "1:2:3:4", "1-2:3:4:5", "1-", "-1:00", "1h", "5:", ":5", "1.5", "366-0", "365-0:0:1", "99999999999", "4294967295:0:0", "1-2-3", "+5", " 5"} {
		_, err := parseSlurmTime("-t", text)
		require.ErrorContains(t, err, "-t "+text+": give minutes", text)
		require.Equal(t, exitUsage, exitCode(err))
	}
}

func TestSlurmElapsed(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0:00", -time.Second: "0:00", 59*time.Second + 999*time.Millisecond: "0:59", 61 * time.Second: "1:01", time.Hour: "1:00:00", 25*time.Hour + 3*time.Second: "1-01:00:03",
	} {
		require.Equal(t, want, slurmElapsed(d))
	}
}
