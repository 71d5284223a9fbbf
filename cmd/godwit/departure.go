package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/godwit-run/godwit/internal/dirlock"
	"github.com/godwit-run/godwit/internal/durable"
)

// departure is a server's wish to leave the group for good, as its data directory remembers it: from before the cluster is asked
// until the data of the server that has left is put away. A request without an answer may have been carried out, now or a little
// later; whoever starts in the directory next finds out.
type departure struct{ dataDir string }

// departureNote is what the file of a departure holds.
type departureNote struct {
	ServerID string `json:"server_id"`
	// Left says that the server is no member any more, by an answer of the cluster.
	Left bool `json:"left"`
}

func (d departure) path() string { return filepath.Join(d.dataDir, "leaving.json") }

// read returns the note, or nil if there is none.
func (d departure) read() (*departureNote, error) {
	b, err := os.ReadFile(d.path())
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	n := &departureNote{}
	if err == nil {
		err = json.Unmarshal(b, n)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w; if it is damaged, look with godwit servers whether this server is a member: "+
			"if so remove the file, else move the data directory away", d.path(), err)
	}
	return n, nil
}

// write makes n the note, durably.
func (d departure) write(n departureNote) error {
	b, err := json.Marshal(n)
	if err != nil {
		panic(err) // a string and a bool
	}
	if err := durable.WriteFile(d.path(), append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("note that this server leaves: %w", err)
	}
	return nil
}

// belongs looks at the note for the server with the id, which has the directory's lock. A note of another server ends: its data is
// gone already. It returns errLeft for a server that may not run any more.
func (d departure) belongs(id string) error {
	n, err := d.read()
	switch {
	case err != nil || n == nil:
		return err
	case n.ServerID != id:
		return d.end()
	case n.Left:
		return errLeft
	}
	return nil
}

// end takes the note away, durably.
func (d departure) end() error {
	if err := os.Remove(d.path()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("end this server's leaving: %w", err)
	}
	return durable.SyncDir(d.dataDir)
}

// putAway moves the Raft data of a server that has left out of the way, to raft.left, so that whoever starts here joins as a new
// server, and ends the departure. It says whether there was such data. Whatever stops it in between, the next call does the rest.
// The directory's lock must be free; the error is dirlock.ErrHeld if it is not.
func (d departure) putAway() (done bool, err error) {
	if n, err := d.read(); err != nil || n == nil || !n.Left { // a server that never leaves has nothing to do here
		return false, err
	}
	lock, err := dirlock.Lock(d.dataDir)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	n, err := d.read() // another process may have had the directory since
	if err != nil || n == nil || !n.Left {
		return false, err
	}
	if err := d.moveAway(); err != nil {
		return false, fmt.Errorf("put away the data of a server that has left: %w", err)
	}
	return true, d.end()
}

// moveAway is the steps of putAway before the last. Each may find itself done.
func (d departure) moveAway() error {
	data := filepath.Join(d.dataDir, "raft")
	away := data + ".left"
	if _, err := os.Stat(data); err == nil {
		if err := errors.Join(os.RemoveAll(away), durable.Rename(data, away)); err != nil {
			return err
		}
	} else if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return d.forgetServer()
}

// forgetServer takes the server's id out of meta.json. The cluster's stays: who starts here waits to be added to it, and never makes
// another one, whatever its flags say.
func (d departure) forgetServer() error {
	path := filepath.Join(d.dataDir, "meta.json")
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	meta := map[string]any{}
	if err == nil {
		err = json.Unmarshal(b, &meta)
	}
	if err != nil {
		return err
	}
	meta["server_id"] = ""
	if b, err = json.Marshal(meta); err != nil {
		return err
	}
	return durable.WriteFile(path, append(b, '\n'), 0o600)
}
