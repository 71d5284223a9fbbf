package wasm

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The first version's bytes, for ever.
func TestHeaderGolden(t *testing.T) {
	h := imageHeader{
		flags: flagEnded, pages: 33, clock: 1_000_000_007, wall: 7, stdin: 5,
		globals: []globalValue{{"__stack_pointer", 0xfff0}, {"g", 0x4045000000000000}},
	}
	for i := range h.module {
		h.module[i] = byte(i)
	}
	const golden = "475747554553540465000000" +
		"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f" +
		"02" + "21000000" + "07ca9a3b00000000" + "0700000000000000" + "0500000000000000" + "02000000" +
		"0f00" + "5f5f737461636b5f706f696e746572" + "f0ff000000000000" +
		"0100" + "67" + "0000000000004540"
	require.Equal(t, golden, hex.EncodeToString(h.encode()))

	old, err := hex.DecodeString(golden)
	require.NoError(t, err)
	version, n, err := decodePrefix(old)
	require.NoError(t, err)
	require.Len(t, old, headerPrefix+n)
	got, err := decodeHeader(version, old[headerPrefix:])
	require.NoError(t, err)
	require.Equal(t, &h, got)

	const golden3 = "47574755455354035d000000" +
		"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f" +
		"02" + "21000000" + "07ca9a3b00000000" + "0500000000000000" + "02000000" +
		"0f00" + "5f5f737461636b5f706f696e746572" + "f0ff000000000000" +
		"0100" + "67" + "0000000000004540"
	old, err = hex.DecodeString(golden3)
	require.NoError(t, err)
	version, n, err = decodePrefix(old)
	require.NoError(t, err)
	require.Len(t, old, headerPrefix+n)
	got, err = decodeHeader(version, old[headerPrefix:])
	require.NoError(t, err)
	h.wall = 0
	require.Equal(t, &h, got)
	for _, unknown := range []byte{2, 5} {
		old[len(imageMagic)-1] = unknown
		_, _, err = decodePrefix(old)
		require.ErrorContains(t, err, "this binary knows 3 to 4")
	}
}

// captured is the image of a frozen guest, and where its state begins.
func captured(t testing.TB, module *Module) (image []byte, state int) {
	t.Helper()
	guest := frozenGuest(t, module, 20)
	var whole, own bytes.Buffer
	require.NoError(t, guest.Capture(&whole))
	require.NoError(t, guest.CaptureState(&own, false))
	require.NoError(t, guest.Close(context.Background()))
	return whole.Bytes(), whole.Len() - own.Len() - sha256.Size
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
	image, state := captured(t, module)
	require.NoError(t, restore(module, image))
	for n := 0; n < len(image); n += 1 + 97*min(1, n/64) { // the rest is alike
		require.ErrorIs(t, restore(module, image[:n]), ErrImage, "the first %d of %d bytes", n, len(image))
	}
	for n := state; n < len(image); n++ {
		require.ErrorIs(t, restore(module, image[:n]), ErrImage, "the first %d of %d bytes", n, len(image))
	}
	for _, tt := range []struct {
		name   string
		offset int
		value  byte
		want   string
	}{
		{"magic", 0, 'X', "bad magic"},
		{"version", 7, 99, "version 99"},
		{"header length", 11, 1, "header of"},
		{"module", headerPrefix, image[state+headerPrefix] + 1, "another module"},
		{"flags", headerPrefix + 32, 0x80, "bad header"},
		{"memory", headerPrefix + 33 + 3, 0xff, "KiB of memory are more than the"},
		{"clock", headerPrefix + 37 + 7, 0x80, "bad header"},
		{"globals", headerPrefix + 61, 0xff, "globals cut short"},
		{"global's name", headerPrefix + 65 + 2, '-', "globals [-"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			damaged := bytes.Clone(image)
			damaged[state+tt.offset] = tt.value
			err := restore(module, damaged)
			require.ErrorIs(t, err, ErrImage)
			require.ErrorContains(t, err, tt.want)
		})
	}
}

// Images carry a checksum: a flipped bit is noticed, or it is one that means nothing.
func TestRestoreNoticesDamage(t *testing.T) {
	module, random := compile(t, "deep"), seed(t)
	image, _ := captured(t, module)
	whole, err := module.Restore(context.Background(), GuestConfig{}, bytes.NewReader(image))
	require.NoError(t, err)
	noticed := 0
	for range 200 {
		damaged := bytes.Clone(image)
		at := random.IntN(len(image))
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
	image, _ := captured(f, module)
	f.Add(image)
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

// TestClocksNeverGoBack: a guest whose new host's wall clock is behind sees its own go on from where it was; one whose new host's is not sees that.
func TestClocksNeverGoBack(t *testing.T) {
	module := compile(t, "deep")
	image, _ := captured(t, module)
	from := time.Now() // the image is from before
	guest, err := module.Restore(t.Context(), GuestConfig{}, bytes.NewReader(image))
	require.NoError(t, err)
	defer guest.Close(context.Background()) //nolint:errcheck // of a test
	s := guest.system
	require.Zero(t, s.ahead)
	seen, lived := s.wall().Round(0), s.age()

	behind := from.Round(0).Add(-time.Hour)
	s.now = func() time.Time { return behind }
	s.resume(lived, seen)
	require.Equal(t, seen.UnixNano(), s.wall().UnixNano())
	behind = behind.Add(time.Second)
	require.Equal(t, seen.Add(time.Second).UnixNano(), s.wall().UnixNano(), "it goes on")
	require.GreaterOrEqual(t, s.age(), lived)

	s.now = func() time.Time { return from.Add(time.Hour) }
	s.resume(lived, seen)
	require.Zero(t, s.ahead)
}

// TestWallClockIsInTheImage: what a guest's wall clock has shown goes along.
func TestWallClockIsInTheImage(t *testing.T) {
	h := imageHeader{clock: 7, wall: 1_700_000_000_123_456_789}
	encoded := h.encode()
	got, err := decodeHeader(imageMagic[len(imageMagic)-1], encoded[headerPrefix:])
	require.NoError(t, err)
	require.Equal(t, h.wall, got.wall)
	require.Equal(t, h.clock, got.clock)
}
