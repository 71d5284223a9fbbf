package worker

import (
	"context"
	"errors"
	"fmt"
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

// compileFunc compiles a module at the next optimisation of a job: it returns the object, and what the compiler calls itself. It tells how many of the module's parts are done, and
// that it computes.
type compileFunc func(ctx context.Context, module string, j *codeJob, o string, progress func(done, of int)) (object []byte, compiler string, err error)

// doing says how it stands with a job, behind the name of the host.
func (j *codeJob) doing() string {
	switch {
	case !j.running:
		return "compiles others first"
	case j.of == 0:
		return "compiles it at " + j.left[0]
	}
	return fmt.Sprintf("compiles it at %s, %d of %d parts are done", j.left[0], j.done, j.of)
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
		for c := k.unlooked(); c != nil; c = k.unlooked() {
			running.Go(func() { k.lookAt(c) }) // ends with a look at a few files
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
		if !j.running {
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
			if k.own.Compiler == "" || k.key == nil || k.failed[name] != "" {
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
	for _, n := range k.holds[name.module] {
		if n.Level == name.level && n.Translator == k.own.Translator && n.Flags == k.own.Flags && n.Compiler == k.own.Compiler {
			there[n.O] = true
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
	ctx, cancel := context.WithTimeoutCause(ctx, compileFor, fmt.Errorf("clang has taken %s", compileFor))
	defer cancel()
	begun := time.Now()
	n, err := k.makeFile(ctx, j, o)
	if err == nil {
		k.log.Info("a module was compiled", "module", j.module, "for", j.level, "at", o, "took", time.Since(begun).Round(time.Millisecond))
	} else if ctx.Err() == nil || !errors.Is(context.Cause(ctx), context.Canceled) {
		k.log.Warn("a module cannot be compiled", "module", j.module, "for", j.level, "at", o, "err", err)
	}
	best := k.kept(j.module)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.running--
	j.running = false
	j.left = j.left[1:]
	k.jobs = slices.DeleteFunc(k.jobs, func(o *codeJob) bool { return o == j })
	switch {
	case err == nil && len(j.left) > 0:
		k.jobs = append(k.jobs, j)
	case err != nil && context.Cause(ctx) == nil, err != nil && !errors.Is(context.Cause(ctx), context.Canceled):
		k.fails(j.jobName, fmt.Sprintf("it cannot be compiled at %s: %s", o, clean(err.Error())))
	}
	if c := k.known[j.module]; c != nil && err == nil && n.Level == k.own.Level && best.GetGrade() > c.grade() {
		c.best = best
	}
	k.tellOf(j)
	k.wake.Set()
}

// makeFile has a module compiled, and keeps the object.
func (k *codes) makeFile(ctx context.Context, j *codeJob, o string) (native.Name, error) {
	path, release, err := k.modules.use(ctx, j.module)
	if err != nil {
		return native.Name{}, err
	}
	defer release()
	object, compiler, err := k.compile(ctx, path, j, o, func(done, of int) { k.progress(j, done, of) })
	if err == nil && compiler != k.own.Compiler {
		err = fmt.Errorf("the compiler is %s now, and was %s: start this worker anew", compiler, k.own.Compiler)
	}
	if err != nil {
		return native.Name{}, err
	}
	recipe := k.own
	recipe.Level, recipe.O, recipe.Compiler = j.level, o, compiler
	n := native.Name{Module: j.module, Recipe: recipe}
	key := k.sealKey()
	if key == nil {
		return n, errNoKey
	}
	return n, k.keep(n, native.Seal(key, n, object))
}

// progress notes how far a job is.
func (k *codes) progress(j *codeJob, done, of int) {
	k.work.Add(1)
	k.mu.Lock()
	defer k.mu.Unlock()
	j.done, j.of = done, of
	k.tellOf(j)
}

// fails notes that a job has failed: it is not tried again by this process. Holds mu.
func (k *codes) fails(name jobName, why string) {
	if len(k.failed) >= mostFailed { // what is forgotten is tried again
		clear(k.failed)
	}
	k.failed[name] = why
}

// tellOf tells those who want what a job makes how that stands. Holds mu.
func (k *codes) tellOf(j *codeJob) {
	k.isNews(j.module)
	if c := k.known[j.module]; c != nil {
		k.tell(c)
	}
}
