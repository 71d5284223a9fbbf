package worker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/worker/native"
)

const (
	// compileFor bounds how long a module is compiled at one optimisation.
	compileFor = 30 * time.Minute
	// mostFailed bounds the compiles that are known to have failed.
	mostFailed = 1024
	// longestMakePause bounds the pauses after compiles that have come to nothing by no fault of the module.
	longestMakePause = 10 * time.Minute
)

// codePlaces is how many modules are compiled at once, each by two processes of clang: two at the least, so that one that takes long at its best does not keep another from
// what is made quickly.
func codePlaces() int { return min(max(2, runtime.NumCPU()/2), 4) }

// jobName is what is to be compiled: a module, for a level of processors.
type jobName struct{ module, level string }

// codeJob is the compiling of a module, at one optimisation after the other.
type codeJob struct {
	jobName
	left    []string // optimisations that are to be made, the next first
	wanted  bool     // somebody wants it
	begun   bool     // it is brought to its end, whoever wants it
	running bool

	done, of int // parts of what is being compiled
}

// failure is a compile that has come to nothing.
type failure struct {
	why     string
	forGood bool  // another try would end in the same
	pause   pause // else it is tried again, if it is wanted
}

// compileFunc compiles a module at the next optimisation of a job: it returns the object, and what the compiler calls itself. It tells how many of the module's parts are done, and
// that it computes. An error that another try would end in as well is a native.Fault.
type compileFunc func(ctx context.Context, module string, j *codeJob, o string, progress func(done, of int)) (object []byte, compiler string, err error)

// doing says how it stands with a job, behind the name of the host.
func (j *codeJob) doing() string {
	switch {
	case !j.running:
		return "compiles others first"
	}
	return "compiles it at " + j.left[0]
}

// jobOf is the job that makes the code which a module needs here. Holds mu.
func (k *codes) jobOf(c *code) jobName { return jobName{c.digest, k.own.Level} }

// job is one that is not done; nil: there is none of the name. Holds mu.
func (k *codes) job(name jobName) *codeJob {
	if i := slices.IndexFunc(k.jobs, func(j *codeJob) bool { return j.jobName == name }); i >= 0 {
		return k.jobs[i]
	}
	return nil
}

// run compiles what is wanted until ctx ends, and then waits for the compilers' ends.
func (k *codes) run(ctx context.Context) error {
	var running sync.WaitGroup
	defer running.Wait()
	again := time.NewTicker(sayEach)
	defer again.Stop()
	for {
		for digest := k.unlooked(); digest != ""; digest = k.unlooked() {
			running.Go(func() { k.look(digest) }) // ends with a look at a few files
		}
		for c := k.fetchable(); c != nil; c = k.fetchable() {
			running.Go(func() { k.obtain(ctx, c) })
		}
		for j := k.next(); j != nil; j = k.next() {
			running.Go(func() { k.make(ctx, j) })
		}
		select {
		case <-k.wake:
		case <-again.C:
			k.sayAgain()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// next is the job that is to go on now; nil: none is, or all places are taken.
func (k *codes) next() *codeJob {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.plan()
	if k.running >= k.places {
		return nil
	}
	for _, j := range k.jobs {
		if f := k.failed[j.jobName]; !j.running && (f == nil || !f.pause.lasts()) {
			j.begun, j.running = true, true
			j.done, j.of = 0, 0
			k.running++
			k.tellOf(j)
			return j
		}
	}
	return nil
}

// plan makes jobs of what the leader wants, and drops those that it does not want any more and that are not begun. Holds mu.
func (k *codes) plan() {
	for _, j := range k.jobs {
		j.wanted = false
	}
	for digest, r := range k.records {
		for _, level := range r.Make {
			name := jobName{digest, level}
			if k.own.Compiler == "" || k.key == nil || k.failed[name] != nil && k.failed[name].forGood {
				continue
			}
			j := k.job(name)
			if j == nil {
				if j = k.newJob(name, r); len(j.left) == 0 {
					continue
				}
				k.jobs = append(k.jobs, j)
				k.isNews(digest)
			}
			j.wanted = true
		}
	}
	k.jobs = slices.DeleteFunc(k.jobs, func(j *codeJob) bool {
		if !j.wanted && !j.begun {
			k.isNews(j.module)
		}
		return !j.wanted && !j.begun
	})
}

// newJob is what lacks of what the leader wants compiled. Holds mu.
func (k *codes) newJob(name jobName, r *apiv1.CodeRecord) *codeJob {
	j := &codeJob{jobName: name}
	there := map[string]bool{}
	for _, f := range k.kept[name.module] { // by this host's compiler
		if f.Level == name.level {
			there[f.O] = true
		}
	}
	for _, o := range []string{native.Quick, native.Best} {
		if !there[o] && (o == native.Best || r.Quick) {
			j.left = append(j.left, o)
		}
	}
	return j
}

// make compiles a job's module at its next optimisation. Then it is behind the others with the rest.
func (k *codes) make(ctx context.Context, j *codeJob) {
	o := j.left[0]
	ctx, cancel := context.WithTimeoutCause(ctx, compileFor, native.Fault{Err: fmt.Errorf("clang has taken %s", compileFor)})
	defer cancel()
	begun := time.Now()
	err := k.makeFile(ctx, j, o)
	stops := errors.Is(context.Cause(ctx), context.Canceled) // the worker does
	switch {
	case err == nil:
		k.log.Info("a module was compiled", "module", j.module, "for", j.level, "at", o, "took", time.Since(begun).Round(time.Millisecond))
	case !stops:
		k.log.Warn("a module cannot be compiled", "module", j.module, "for", j.level, "at", o, "err", err)
	}
	k.look(j.module)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.running--
	j.running = false
	k.jobs = slices.DeleteFunc(k.jobs, func(o *codeJob) bool { return o == j })
	switch {
	case err == nil:
		delete(k.failed, j.jobName)
		if j.left = j.left[1:]; len(j.left) > 0 {
			k.jobs = append(k.jobs, j)
		}
	case !stops:
		if !k.fails(j.jobName, fmt.Sprintf("it cannot be compiled at %s: %s", o, clean(err.Error())), errors.As(err, new(native.Fault))) {
			j.begun = false
			k.jobs = append(k.jobs, j)
		}
	}
	k.tellOf(j)
	k.wake.Set()
}

// makeFile has a module compiled, and keeps the object.
func (k *codes) makeFile(ctx context.Context, j *codeJob, o string) error {
	path, release, err := k.modules.use(ctx, j.module)
	if err != nil {
		return err
	}
	defer release()
	object, compiler, err := k.compile(ctx, path, j, o, func(done, of int) { k.progress(j, done, of) })
	if err == nil && compiler != k.own.Compiler {
		err = fmt.Errorf("the compiler is %s now, and was %s: start this worker anew", compiler, k.own.Compiler)
	}
	if err != nil {
		return err
	}
	n := native.Name{Module: j.module, Recipe: k.own}
	n.Level, n.O = j.level, o
	return k.keep(n, func(f *os.File) error {
		key := k.sealKey()
		if key == nil {
			return errNoKey
		}
		_, err := ownFile{f}.Write(native.Seal(key, n, object))
		return err
	})
}

// progress notes how far a job is.
func (k *codes) progress(j *codeJob, done, of int) {
	k.work.Add(1)
	k.mu.Lock()
	defer k.mu.Unlock()
	j.done, j.of = done, of
	k.tellOf(j)
}

// fails notes that a job has come to nothing, and says whether that is for good: for as long as this process lives. Holds mu.
func (k *codes) fails(name jobName, why string, forGood bool) bool {
	f := k.failed[name]
	if f == nil {
		f = &failure{}
		k.forgetFailures(mostFailed - 1)
		k.failed[name] = f
	}
	if f.why, f.forGood = why, forGood; !forGood {
		time.AfterFunc(f.pause.begin(k.makePause, longestMakePause), k.wake.Set)
	}
	return forGood
}

// forgetFailures forgets those of which nobody wants another try, and others until that many are left: what is forgotten is tried again. Holds mu.
func (k *codes) forgetFailures(most int) {
	for name, f := range k.failed {
		if len(k.failed) > most || !f.forGood && !f.pause.lasts() && k.job(name) == nil {
			delete(k.failed, name)
			k.isNews(name.module)
		}
	}
}

// tellOf tells those who want what a job makes how that stands. Holds mu.
func (k *codes) tellOf(j *codeJob) {
	k.isNews(j.module)
	if c := k.known[j.module]; c != nil {
		k.tell(c)
	}
}
