package sdk

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
)

// clang names the header of what is called without a declaration for the functions that it knows itself, which are standard C's. These are the others' that programs
// leave out, since other systems' headers include each other.

// declaredIn are functions by the header that declares them.
var declaredIn = []struct{ header, names string }{ //nolint:gochecknoglobals // an immutable lookup table
	{"unistd.h", "access close chdir dup execvp fork fsync ftruncate getcwd getdomainname gethostname getopt getpagesize getpid getppid getuid isatty link lseek pipe read rmdir " +
		"sbrk sleep swab symlink sysconf unlink usleep write"},
	{"sys/time.h", "gettimeofday utimes"},
	{"sys/resource.h", "getrusage getrlimit setrlimit getpriority"},
	{"sys/times.h", "times"},
	{"sys/stat.h", "mkdir stat lstat fstat chmod umask mkfifo mknod"},
	{"sys/mman.h", "mmap munmap msync madvise posix_madvise mprotect"},
	{"sys/wait.h", "wait waitpid"},
	{"fcntl.h", "open creat fcntl"},
	{"sys/ioctl.h", "ioctl"},
	{"time.h", "clock_gettime clock_getres nanosleep time clock localtime gmtime mktime strftime ctime difftime localtime_r gmtime_r"},
	{"string.h", "strdup strndup strtok strtok_r strsep strerror memmem stpcpy strlcpy strnlen"},
	{"strings.h", "strcasecmp strncasecmp bzero bcopy bcmp index rindex ffs"},
	{"stdlib.h", "posix_memalign aligned_alloc setenv putenv unsetenv mkstemp drand48 srand48 lrand48 erand48 random srandom rand srand rand_r atoi atol atof strtod strtol qsort " +
		"getenv system realpath"},
	{"stdio.h", "fileno fdopen popen getline asprintf vasprintf"},
	{"ctype.h", "isspace isdigit isalpha isalnum tolower toupper isupper islower"},
	{"signal.h", "signal sigaction kill raise"},
	{"getopt.h", "getopt_long"},
	{"malloc.h", "memalign mallinfo"},
	{"libgen.h", "basename dirname"},
	{"sched.h", "sched_yield"},
	{"pwd.h", "getpwuid getpwnam"},
}

// declaredWith are the beginnings of functions' names by their header, which is among Files.
var declaredWith = []struct{ prefix, header, file string }{ //nolint:gochecknoglobals // an immutable lookup table
	{"MPI_", "mpi.h", "lib/probes.txt"}, {"PMPI_", "mpi.h", "lib/probes.txt"}, {"omp_", "omp.h", "lib/include/omp.h"}, {"pthread_", "pthread.h", "lib/include/pthread.h"},
}

// undeclaredCall is how clang says that a function is called without a declaration.
var undeclaredCall = regexp.MustCompile(`call to undeclared function '(\w+)'`)

// notDeclared are functions that no header declares, by what is to be done.
var notDeclared = map[string]string{ //nolint:gochecknoglobals // an immutable lookup table
	"gets": "gets is in C before 2011 only: compile with -std=gnu99, or call fgets",
}

// header is the one that declares a function, empty if there is none among the C library's in a directory, and ours.
func header(name, include string) string {
	for _, d := range declaredWith {
		if !strings.HasPrefix(name, d.prefix) {
			continue
		}
		content, err := fs.ReadFile(embedded, d.file)
		if err == nil && regexp.MustCompile(`\b`+name+`\b`).Match(content) {
			return d.header
		}
		return ""
	}
	for _, d := range declaredIn {
		if slices.Contains(strings.Fields(d.names), name) {
			return d.header
		}
	}
	declaration := regexp.MustCompile(`(?m)^(extern )?[a-z_][\w ]*[ *]\(?` + name + `\)? ?\(`)
	ours, err := fs.Sub(embedded, "lib/include")
	if err != nil {
		return ""
	}
	for _, headers := range []fs.FS{ours, os.DirFS(include)} {
		for _, pattern := range []string{"*.h", "sys/*.h", "arpa/*.h", "net*/*.h"} {
			files, _ := fs.Glob(headers, pattern)
			for _, file := range files {
				if content, err := fs.ReadFile(headers, file); err == nil && !strings.HasPrefix(file, "__") && declaration.MatchString(declaredHere(string(content))) {
					return file
				}
			}
		}
	}
	return ""
}

// declaredHere is a header of wasi-libc without what it keeps for other systems only.
func declaredHere(header string) string {
	var out strings.Builder
	depth, elsewhere := 0, 0 // of conditions; the one that is for other systems, 0 if none is
	for line := range strings.Lines(header) {
		directive := strings.Join(strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "#")), " ")
		if !strings.HasPrefix(strings.TrimSpace(line), "#") {
			directive = ""
		}
		switch {
		case strings.HasPrefix(directive, "if"):
			if depth++; elsewhere == 0 && strings.Contains(directive, "__wasilibc_unmodified_upstream") && !strings.HasPrefix(directive, "ifndef") && !strings.Contains(directive, "!") {
				elsewhere = depth
			}
		case strings.HasPrefix(directive, "el") && elsewhere == depth:
			elsewhere = 0
		case strings.HasPrefix(directive, "endif"):
			if depth--; elsewhere > depth {
				elsewhere = 0
			}
		case elsewhere == 0 && directive == "":
			out.WriteString(line)
		}
	}
	return out.String()
}

// explainUndeclared writes which headers declare what a compiler has not found declared, of the C library's in a directory and ours.
func explainUndeclared(compiler []byte, lang Lang, options []string, include string, stderr io.Writer) {
	var said, files, unknown []string
	for _, match := range undeclaredCall.FindAllSubmatch(compiler, -1) {
		name := string(match[1])
		if slices.Contains(said, name) {
			continue
		}
		said = append(said, name)
		if why, ok := notDeclared[name]; ok {
			fmt.Fprintf(stderr, "%s: %s\n", lang, why)
			continue
		}
		h := header(name, include)
		if why := whyMissing(name); h == "" && why != "" {
			fmt.Fprintf(stderr, "%s: %s is not there: %s\n", lang, name, why)
			continue
		}
		if h == "" {
			unknown = append(unknown, name)
			continue
		}
		fmt.Fprintf(stderr, "%s: %s is declared in <%s>\n", lang, name, h)
		if option := "-include " + h; !slices.Contains(files, option) {
			files = append(files, option)
		}
	}
	if len(files) > 0 {
		fmt.Fprintf(stderr, "%s: include it where it is called, or compile with %s\n", lang, strings.Join(files, " "))
	}
	if i := slices.IndexFunc(options, func(o string) bool {
		return o == "-ansi" || strings.HasPrefix(o, "-std=c") || strings.HasPrefix(o, "-std=iso")
	}); len(files) > 0 && i >= 0 {
		fmt.Fprintf(stderr, "%s: %s hides what is not standard C's: -std=gnu99 and its like, or -D_GNU_SOURCE, show it\n", lang, options[i])
	}
	if i := slices.IndexFunc(unknown, func(name string) bool { return strings.HasPrefix(name, "rpl_") }); i >= 0 {
		fmt.Fprintf(stderr, "%s: %s is what configure makes of a function that it takes to be wrong: run it with CONFIG_SITE exported, from share/config.site of godwit sdk's directory\n", lang, unknown[i])
	}
	if len(unknown) > 0 {
		const shown = 4
		if len(unknown) > shown {
			unknown = append(unknown[:shown], "...")
		}
		fmt.Fprintf(stderr, "%s: declare %s before the call. With -Wno-error=implicit-function-declaration its type is guessed: integers and pointers then arrive, but with a float or too few arguments the call traps\n", lang, strings.Join(unknown, ", "))
	}
}

// unprototyped is how clang says that a function is called with arguments by a declaration that does not tell of its parameters.
var unprototyped = regexp.MustCompile(`passing arguments to '(\w+)' without a prototype`)

// explainOpen writes which functions with an open list of arguments a compiler has found called so. The list is one more argument, of which such a call knows nothing, and with one open argument there are as many
// as the function takes, so that no linker sees it.
func explainOpen(compiler []byte, lang Lang, include string, stderr io.Writer) {
	var said []string
	for _, match := range unprototyped.FindAllSubmatch(compiler, -1) {
		name := string(match[1])
		if !slices.Contains(variadic, name) || slices.Contains(said, name) {
			continue
		}
		said = append(said, name)
		fmt.Fprintf(stderr, "%s: warning: %s is called without the declaration of its open list of arguments: the C library's gets wrong ones; it is declared in <%s>\n", lang, name, header(name, include))
	}
}

// unseen has a compiler that was told not to warn look for such calls, where a source declares such a function without its parameters. It makes nothing.
func unseen(ctx context.Context, command []string) []byte {
	quiet := []string{"-w", "-Wno-everything", "-Wno-deprecated-non-prototype"}
	if !slices.ContainsFunc(command, func(w string) bool { return slices.Contains(quiet, w) }) || !slices.ContainsFunc(command, declaresOpen) {
		return nil
	}
	words := slices.DeleteFunc(withoutOutputs(command), func(w string) bool { return slices.Contains(quiet, w) })
	words = append(words, "-fsyntax-only", "-Wno-everything", "-Wdeprecated-non-prototype")
	out, _ := exec.CommandContext(ctx, words[0], words[1:]...).CombinedOutput() //nolint:gosec // the command that has run
	return out
}

// openDeclared is a declaration without parameters of a function with an open list of arguments, or a call without arguments of one.
var openDeclared = regexp.MustCompile(`\b(` + strings.Join(variadic, "|") + `)\s*\(\s*\)`)

// declaresOpen says whether a word of a command names a source in C with such a declaration.
func declaresOpen(word string) bool {
	return strings.HasSuffix(word, ".c") && openDeclared.Match(readFile(word))
}

// tail keeps the last bytes that were written to it.
type tail struct{ b []byte }

// maxTail bounds what is looked through of a compiler's messages, in bytes.
const maxTail = 1 << 20

func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p...)
	t.b = t.b[max(0, len(t.b)-maxTail):]
	return len(p), nil
}

// ownData is how clang says that a file has data, or a type, by the name of a function that it knows, whether a header declares that or not.
var ownData = regexp.MustCompile(`error: redefinition of '(\w+)' as different kind of symbol\n(?:.*\n){0,3}?.*note: unguarded header`)

// withoutFunctions are the options by which clang does not know the functions whose names a file has for something else; nil: there are none.
func withoutFunctions(compiler []byte) []string {
	var options []string
	for _, match := range ownData.FindAllSubmatch(compiler, -1) {
		if option := "-fno-builtin-" + string(match[1]); !slices.Contains(options, option) {
			options = append(options, option)
		}
	}
	return options
}
