package executor

import (
	"os"
	"slices"
	"unsafe"
)

// title is where the arguments of this process, which ps shows, have the app's id.
type title []byte

// ownTitle is the argument behind --app; nil: there is none.
func ownTitle() title {
	i := slices.Index(os.Args, "--app")
	if i < 0 || i+1 >= len(os.Args) || os.Args[i+1] == "" {
		return nil
	}
	return unsafe.Slice(unsafe.StringData(os.Args[i+1]), len(os.Args[i+1])) // the runtime has made no copy: it is where the kernel reads it
}

// set makes it another app's id. Ids are of one length; another text leaves what is there.
func (t title) set(app string) {
	if len(app) == len(t) {
		copy(t, app)
	}
}

// clear says that it is no app's.
func (t title) clear() {
	for i := range t {
		t[i] = '-'
	}
}
