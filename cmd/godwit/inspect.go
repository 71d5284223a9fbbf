package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"strings"

	"github.com/godwit-run/godwit/worker/wasm"
)

// inspectFile prints what a module's file holds.
func inspectFile(o *options, path string) error {
	code, err := readModule(path)
	if err != nil {
		return err
	}
	info, err := wasm.Inspect(code)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(code)
	digest := hex.EncodeToString(sum[:])
	if o.output == "json" {
		return printJSON(os.Stdout, orderedObject{
			{"digest", digest},
			{"size", len(code)},
			{"migratable", info.Migratable},
			{"reason", info.Reason},
			{"imports", info.Imports},
			{"memory_min_bytes", uint64(info.MemoryMinPages) << 16},
			{"memory_max_bytes", uint64(info.MemoryMaxPages) << 16},
		})
	}
	reason := ""
	if info.Reason != "" {
		reason = fmt.Sprintf("reason      %s\n", info.Reason)
	}
	return show("digest      %s\nsize        %d\nmigratable  %t\n%smemory      %d KiB at start, %d MiB at most\nimports     %s\n",
		digest, len(code), info.Migratable, reason, info.MemoryMinPages*64, info.MemoryMaxPages/16, strings.Join(info.Imports, "\n            "))
}
