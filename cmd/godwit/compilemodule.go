package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/godwit-run/godwit/worker"
	"github.com/godwit-run/godwit/worker/native"
	"github.com/godwit-run/godwit/worker/wasm"
)

// makerEach is how often a maker says how far it is.
const makerEach = time.Second

// newCompileModule is a worker's child that compiles one module: what a user has made of it, and what clang does with that, is of this process.
func newCompileModule() *cobra.Command {
	var module, dir string
	var compiler native.Compiler
	c := &cobra.Command{
		Use: "compile-module", Short: "Compile a module for the native engine (started by the worker)", Hidden: true, Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			_ = unix.Setpriority(unix.PRIO_PROCESS, 0, 10) // what runs goes first
			code, err := os.ReadFile(module)
			if err != nil {
				return err
			}
			if err := wasm.Check(c.Context(), dir, code); err != nil { // the translator takes what is valid
				var disk *fs.PathError
				if !errors.As(err, &disk) {
					err = native.Fault{Err: err}
				}
				return tellFault(err)
			}
			recipe, err := compiler.Recipe(c.Context())
			if err != nil {
				return err
			}
			compiler.Watch = &native.Progress{}
			stop := tellProgress(compiler.Watch)
			object, err := compiler.Compile(c.Context(), code)
			stop()
			if err != nil {
				return tellFault(err)
			}
			if _, err := os.NewFile(worker.MakerOut, "the object").Write(object); err != nil {
				return err
			}
			return printf("%s %s\n", worker.MakerBy, recipe.Compiler)
		},
	}
	c.Flags().StringVar(&module, "module", "", "the module's file")
	c.Flags().StringVar(&dir, "dir", "", "where the module's other compiled code is kept")
	c.Flags().StringVar(&compiler.Dir, "work-dir", "", "a directory to work in")
	c.Flags().StringVar(&compiler.Level, "level", "", "of the processor, as clang's -march has it")
	c.Flags().StringVar(&compiler.O, "optimize", "", "how clang optimises, such as -O3")
	return c
}

// tellFault tells the worker of an error that another try would end in as well.
func tellFault(err error) error {
	if errors.As(err, new(native.Fault)) {
		_ = printf("%s\n", worker.MakerFault) // the worker may have ended
	}
	return err
}

// tellProgress prints how far a compiler is, as long as it gets on, until stop is called.
func tellProgress(p *native.Progress) (stop func()) {
	overCh, doneCh := make(chan struct{}), make(chan struct{})
	go func() { // ends with stop
		defer close(doneCh)
		t := time.NewTicker(makerEach)
		defer t.Stop()
		last := int64(-1)
		for {
			if now := p.Ticks(); now > last {
				done, of := p.Parts()
				_, _ = fmt.Printf("%s %d %d\n", worker.MakerParts, done, of) // the worker may have ended, and this process with it
				last = now
			}
			select {
			case <-t.C:
			case <-overCh:
				return
			}
		}
	}()
	return func() {
		close(overCh)
		<-doneCh
	}
}
