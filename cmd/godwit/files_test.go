package main

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
)

func TestParseMount(t *testing.T) {
	for text, want := range map[string]*apiv1.Mount{
		"data:/data":     {Volume: "data", Path: "/data"},
		"data:/data/:rw": {Volume: "data", Path: "/data", Writable: true},
		"data:/a/b:ro":   {Volume: "data", Path: "/a/b", ReadOnly: true},
	} {
		got, err := parseMount(text)
		require.NoError(t, err, text)
		require.Equal(t, want.String(), got.String())
	}
	for text, want := range map[string]string{
		"data":          "use VOLUME:PATH",
		"data:rel":      "absolute",
		"data:/data:rx": "use VOLUME:PATH",
		"data:/a:/b":    "use VOLUME:PATH",
		"data:/work":    "--wdir",
		"data:/tmp/:ro": "what the app's ranks share",
	} {
		_, err := parseMount(text)
		require.ErrorContains(t, err, want, text)
		require.Equal(t, exitUsage, exitCode(err))
	}
}

// Files have the names that the ranks see as well as those in the app's directory.
func TestPattern(t *testing.T) {
	for given, want := range map[string]string{
		"": "", "a/*.dat": "a/*.dat", "/work": "", "/work/": "", "/work/a/*": "a/*", "/work//a": "a", "/workers": "/workers", "work/a": "work/a",
	} {
		require.Equal(t, want, patternOf([]string{"app", given}), given)
	}
	require.Empty(t, patternOf([]string{"app"}))
	require.ErrorContains(t, onePattern(nil, []string{"app", "a.dat", "b.dat"}), "quote it")
	require.Error(t, onePattern(nil, nil))
	require.NoError(t, onePattern(nil, []string{"app", "*.dat"}))
}

// What is no directory cannot take the files: that is said before anything runs.
func TestOutIsADirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "res")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	for out, wrong := range map[string]bool{"": false, file: true, file + "2": false, t.TempDir(): false} {
		err := (&submitFlags{spec: &apiv1.AppSpec{}, size: 1, period: "0", out: out}).finish([]string{"p.wasm"})
		require.Equal(t, wrong, err != nil, out)
		if wrong {
			require.ErrorContains(t, err, "it is no directory")
		}
	}
}

// hasFiles is a server of an app that runs and has files, or has ended and lost them.
type hasFiles struct {
	apiv1connect.UnimplementedControlHandler
	over bool
}

func (h hasFiles) GetApp(context.Context, *apiv1.GetAppRequest) (*apiv1.GetAppResponse, error) {
	app := &apiv1.App{Id: "a", Phase: apiv1.AppRunning, Files: &apiv1.AppFiles{Host: "w1"}}
	if h.over {
		app.Phase, app.Files = apiv1.AppFailed, &apiv1.AppFiles{Fault: "host w1 is lost"}
	}
	return &apiv1.GetAppResponse{App: app}, nil
}

func (h hasFiles) ReadFiles(_ context.Context, _ *apiv1.ReadFilesRequest, stream apiv1connect.ControlReadFilesServerStream) error {
	return stream.Send(&apiv1.ReadFilesResponse{Entries: []*apiv1.TreeEntry{
		{Path: "d", Kind: apiv1.TreeEntry_KIND_DIRECTORY},
		{Path: "d/a", Kind: apiv1.TreeEntry_KIND_FILE, Size: 3},
		{Path: "l", Kind: apiv1.TreeEntry_KIND_LINK, Text: "d"},
	}})
}

// A list for scripts is one value, in words.
func TestListAsJSON(t *testing.T) {
	reader, writer, err := os.Pipe()
	require.NoError(t, err)
	defer func(old *os.File) { os.Stdout = old }(os.Stdout)
	os.Stdout = writer
	o := &options{addr: serveControl(t, hasFiles{}).Addrs()[0], timeout: time.Minute, output: "json"}
	require.NoError(t, listFiles(t.Context(), o, "a", ""))
	require.NoError(t, writer.Close())
	text, err := io.ReadAll(reader)
	require.NoError(t, err)
	var list []struct{ Path, Kind, Text string }
	require.NoError(t, json.Unmarshal(text, &list), "%s", text)
	require.Len(t, list, 3)
	require.Equal(t, "directory", list[0].Kind)
	require.Equal(t, "file", list[1].Kind)
	require.Equal(t, "link", list[2].Kind)
	require.Equal(t, "d", list[2].Text)
}

// Of files that are lost it is not said that they can be had later.
func TestLostFilesAreNotPromised(t *testing.T) {
	h := hasFiles{over: true}
	app, err := h.GetApp(t.Context(), nil)
	require.NoError(t, err)
	r := &runner{f: &submitFlags{out: t.TempDir()}, client: serveControl(t, h), in: newInterrupts(), id: "a", ended: app.App}
	err = r.getOut(t.Context(), nil)
	require.ErrorContains(t, err, "were not kept: host w1 is lost")
	require.NotContains(t, err.Error(), "later")
}
