package wasm

import (
	"bytes"
	"context"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The first version's bytes, for ever.
func TestHeaderGolden(t *testing.T) {
	h := imageHeader{
		flags: flagRaw, pages: 33, clock: 1_000_000_007, stdin: 5,
		globals: []globalValue{{"__stack_pointer", 0xfff0}, {"g", 0x4045000000000000}},
	}
	for i := range h.module {
		h.module[i] = byte(i)
	}
	const golden = "47574755455354025d000000" +
		"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f" +
		"01" + "21000000" + "07ca9a3b00000000" + "0500000000000000" + "02000000" +
		"0f00" + "5f5f737461636b5f706f696e746572" + "f0ff000000000000" +
		"0100" + "67" + "0000000000004540"
	require.Equal(t, golden, hex.EncodeToString(h.encode()))

	old, err := hex.DecodeString(golden)
	require.NoError(t, err)
	n, err := decodePrefix(old)
	require.NoError(t, err)
	require.Len(t, old, headerPrefix+n)
	got, err := decodeHeader(old[headerPrefix:])
	require.NoError(t, err)
	require.Equal(t, &h, got)
}

func captured(t testing.TB, module *Module, opts CaptureOptions) []byte {
	t.Helper()
	guest := frozenGuest(t, module, 20)
	var image bytes.Buffer
	_, err := guest.Capture(&image, opts)
	require.NoError(t, err)
	require.NoError(t, guest.Close(context.Background()))
	return image.Bytes()
}

// restore makes a guest of an image and closes it again.
func restore(module *Module, image []byte) error {
	guest, err := module.Restore(context.Background(), GuestConfig{}, bytes.NewReader(image))
	if err != nil {
		return err
	}
	return guest.Close(context.Background())
}

func TestRestoreRefuses(t *testing.T) {
	module := compile(t, "deep")
	for _, opts := range []CaptureOptions{{}, {Raw: true}} {
		image := captured(t, module, opts)
		require.NoError(t, restore(module, image))
		for n, step := 0, 1; n < len(image); n += step {
			require.ErrorIs(t, restore(module, image[:n]), ErrImage, "the first %d of %d bytes", n, len(image))
			if n > 2*headerPrefix {
				step = 97 // the rest is alike
			}
		}
	}
	image := captured(t, module, CaptureOptions{Raw: true})
	for _, tt := range []struct {
		name   string
		offset int
		value  byte
		want   string
	}{
		{"magic", 0, 'X', "bad magic"},
		{"version", 7, 99, "version 99"},
		{"header length", 11, 1, "header of"},
		{"module", headerPrefix, image[headerPrefix] + 1, "another module"},
		{"flags", headerPrefix + 32, 0x80, "bad header"},
		{"memory", headerPrefix + 33 + 3, 0xff, "pages of memory"},
		{"clock", headerPrefix + 37 + 7, 0x80, "bad header"},
		{"globals", headerPrefix + 53, 0xff, "globals cut short"},
		{"global's name", headerPrefix + 57 + 2, '-', "globals [-"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			damaged := bytes.Clone(image)
			damaged[tt.offset] = tt.value
			err := restore(module, damaged)
			require.ErrorIs(t, err, ErrImage)
			require.ErrorContains(t, err, tt.want)
		})
	}
}

// Compressed images carry a checksum: a flipped bit is noticed, or it is one that means nothing.
func TestRestoreNoticesDamage(t *testing.T) {
	module, random := compile(t, "deep"), seed(t)
	image := captured(t, module, CaptureOptions{})
	whole, err := module.Restore(context.Background(), GuestConfig{}, bytes.NewReader(image))
	require.NoError(t, err)
	body := bytes.Index(image, []byte{0x28, 0xb5, 0x2f, 0xfd})
	require.Positive(t, body)
	noticed := 0
	for range 200 {
		damaged := bytes.Clone(image)
		at := body + random.IntN(len(image)-body)
		damaged[at] ^= 1 << random.IntN(8)
		guest, err := module.Restore(context.Background(), GuestConfig{}, bytes.NewReader(damaged))
		if err != nil {
			require.ErrorIs(t, err, ErrImage)
			noticed++
			continue
		}
		require.True(t, bytes.Equal(whole.Memory().Bytes(), guest.Memory().Bytes()), "bit flipped in byte %d", at)
		require.NoError(t, guest.Close(context.Background()))
	}
	require.Greater(t, noticed, 190)
	require.NoError(t, whole.Close(context.Background()))
}

func FuzzRestore(f *testing.F) {
	module := compile(f, "deep")
	f.Add(captured(f, module, CaptureOptions{}))
	f.Add(captured(f, module, CaptureOptions{Raw: true}))
	f.Fuzz(func(_ *testing.T, image []byte) {
		_ = restore(module, image) // must not panic
	})
}

// What a guest has read of stdin stays read.
func TestStdinGoesOn(t *testing.T) {
	s := system{stdin: strings.NewReader("one two")}
	require.NoError(t, s.skip(4))
	rest := make([]byte, 8)
	n, err := s.stdin.Read(rest)
	require.NoError(t, err)
	require.Equal(t, "two", string(rest[:n]))
	require.ErrorContains(t, s.skip(100), "stdin")
}
