package worker

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/files"
)

// keepOwn keeps a file that this host's executor of the app has open itself, as the home is here: it tells its descriptor, and nobody but it knows its name as a client.
// No answer: it is to be asked again.
func (a *app) keepOwn(server *files.Server, req *apiv1.FilesRequest) *apiv1.FilesResponse {
	pid := 0
	if err := a.ask(func() error {
		if a.child != nil && a.child.filesClient == req.Client {
			pid = a.child.pid()
		}
		return nil
	}); err != nil || pid == 0 || req.OwnDescriptor < 1 || req.OwnDescriptor > 1<<30 {
		return &apiv1.FilesResponse{Errno: int32(syscall.EBADF)}
	}
	f, err := os.OpenFile(fmt.Sprintf("/proc/%d/fd/%d", pid, req.OwnDescriptor-1), unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return &apiv1.FilesResponse{Errno: int32(syscall.EBADF)} // it has not said what it has
	}
	return server.KeepFile(req, f)
}
