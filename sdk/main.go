package sdk

// Names of main: clang has one for each number of parameters, and wasi-libc calls it by the second, or by the first where the user has that.
const (
	plainMain   = "main" // of three parameters, or one
	mainOfTwo   = "__main_argc_argv"
	mainOfNone  = "__main_void" // who has it has "main", too
	environment = "\x7f\x7f\x7f"
)

// mainFlags have wasi-libc call a main of three parameters by way of the glue (godwit_start.c).
func (l linkedTypes) mainFlags() []string {
	if l.function[plainMain].params != environment || l.meant(plainMain) != plainMain || l.has(mainOfNone) {
		return nil
	}
	return []string{"-Wl,--wrap=" + mainOfTwo}
}

// meant is the function that is meant by a name that files call: main of two parameters is called by others, too.
func (l linkedTypes) meant(name string) string {
	other, two := l.function[mainOfTwo]
	if main, ok := l.function[plainMain]; name == plainMain && two && (!ok || main.rank < other.rank) {
		return mainOfTwo
	}
	return name
}
