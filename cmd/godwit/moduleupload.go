package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/uuid"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/client"
	"github.com/godwit-run/godwit/internal/transport"
)

// moduleUpload is a module's file on its way to the servers.
type moduleUpload struct {
	name, digest string
	code         []byte
}

// readUpload reads the file.
func readUpload(path string) (*moduleUpload, error) {
	code, err := readModule(path)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(code)
	return &moduleUpload{name: filepath.Base(path), digest: hex.EncodeToString(sum[:]), code: code}, nil
}

// moduleUploads are the modules of an app.
type moduleUploads struct {
	each    []*moduleUpload // each module once
	digests []string        // of the parts
}

// readUploads reads the files of an app's parts.
func readUploads(paths []string) (*moduleUploads, error) {
	all := &moduleUploads{}
	for i, path := range paths {
		if before := slices.Index(paths[:i], path); before >= 0 {
			all.digests = append(all.digests, all.digests[before])
			continue
		}
		mod, err := readUpload(path)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(all.digests, mod.digest) {
			all.each = append(all.each, mod)
		}
		all.digests = append(all.digests, mod.digest)
	}
	return all, nil
}

// name puts the digests into what is submitted.
func (m *moduleUploads) name(spec *apiv1.AppSpec) {
	if len(spec.Parts) == 0 {
		spec.ModuleDigest = m.digests[0]
		return
	}
	for i, part := range spec.Parts {
		part.ModuleDigest = m.digests[i]
	}
}

// sendMissing gives the servers what they have not: one module is sent without asking.
func (m *moduleUploads) sendMissing(ctx context.Context, c *client.Client) error {
	if len(m.each) == 1 {
		return m.each[0].send(ctx, c)
	}
	for _, mod := range m.each {
		if err := mod.upload(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// upload makes the servers have the module. What they have is not sent again.
func (m *moduleUpload) upload(ctx context.Context, c *client.Client) error {
	has, err := call(ctx, c, apiv1connect.ControlClient.ListModules, &apiv1.ListModulesRequest{Digest: m.digest})
	if err != nil || len(has.Modules) > 0 {
		return err
	}
	return m.send(ctx, c)
}

// send gives the servers the module, whether they have it or not. Each call has a key of its own: with that of an earlier one they would
// not take what was removed since.
func (m *moduleUpload) send(ctx context.Context, c *client.Client) error {
	key := uuid.NewString()
	return c.Do(ctx, func(ctx context.Context, control apiv1connect.ControlClient) error {
		stream, err := control.UploadModule(ctx)
		if err != nil {
			return err
		}
		rest := m.code
		for first := true; first || len(rest) > 0; first = false {
			n := min(len(rest), transport.ChunkBytes)
			part := &apiv1.UploadModuleRequest{Chunk: rest[:n]}
			if first {
				part.IdempotencyKey, part.Name, part.Digest = key, m.name, m.digest
			}
			if err := stream.Send(part); err != nil {
				break // CloseAndReceive has the reason
			}
			rest = rest[n:]
		}
		_, err = stream.CloseAndReceive()
		return err
	})
}

// readModule reads a module's file; what is wrong with it is said in an exit code of its own.
func readModule(path string) ([]byte, error) {
	st, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, &exitError{exitNotFound, fmt.Sprintf("%s: no such file; compile one with godwit cc", path)}
	case err != nil:
		return nil, &exitError{exitNotFound, err.Error()}
	case !st.Mode().IsRegular():
		return nil, &exitError{exitNotRunnable, fmt.Sprintf("%s is not a file: name a module made by godwit cc", path)}
	case st.Size() > apiv1.MaxModuleBytes:
		return nil, &exitError{exitNotRunnable, fmt.Sprintf("%s has %d bytes; a module may have %d MiB, which are %d", path, st.Size(), apiv1.MaxModuleBytes>>20, apiv1.MaxModuleBytes)}
	}
	code, err := os.ReadFile(path)
	if err != nil {
		return nil, &exitError{exitNotRunnable, err.Error()}
	}
	if bytes.HasPrefix(code, []byte("\x7fELF")) {
		return nil, &exitError{exitNotRunnable, path + " is a program for this machine's CPU, not WebAssembly: compile it with godwit's mpicc (godwit cc)"}
	}
	if kind, with := sourceKind(path); kind != "" && !bytes.HasPrefix(code, []byte("\x00asm")) {
		return nil, &exitError{exitNotRunnable, fmt.Sprintf("%s is %s source, not WebAssembly: %s", path, kind, with)}
	}
	if _, err := inspectModule(code); err != nil {
		return nil, &exitError{exitNotRunnable, fmt.Sprintf("%s: %v", path, err)}
	}
	return code, nil
}

// sourceKind tells by a file's name of which language it is the source, and what to do with it; else it is "".
func sourceKind(path string) (kind, todo string) {
	ext := filepath.Ext(path)
	compile := func(with, same string) string {
		return fmt.Sprintf("compile it, and run what comes of it: godwit %s %s -o %s.wasm (%s does the same)", with, path, strings.TrimSuffix(filepath.Base(path), ext), same)
	}
	switch ext {
	case ".c":
		return "C", compile("cc", "mpicc")
	case ".cc", ".cpp", ".cxx", ".c++", ".C":
		return "C++", compile("c++", "mpicxx")
	case ".f", ".for", ".f77", ".f90", ".f95", ".f03", ".f08", ".F", ".F90":
		return "Fortran", "only C and C++ are compiled to modules here (godwit cc, godwit c++)"
	}
	return "", ""
}
