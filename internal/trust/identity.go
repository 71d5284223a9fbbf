package trust

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/godwit-run/godwit/internal/name"
)

// Role is what a holder of a certificate or token may do.
type Role string

// The roles. Server and Worker are machines of the cluster, Executor is a process that runs an app's ranks on one; the others are people.
const (
	Server    Role = "server"
	Worker    Role = "worker"
	Executor  Role = "executor"
	Admin     Role = "admin"     // all of it, tokens too
	Operator  Role = "operator"  // hosts, policies, everybody's apps
	Submitter Role = "submitter" // apps of a tenant
	Reader    Role = "reader"    // looks at those
)

// Valid says whether r is one of the roles.
func (r Role) Valid() bool {
	switch r {
	case Server, Worker, Executor, Admin, Operator, Submitter, Reader:
		return true
	}
	return false
}

// Identity is who somebody is. Its parts are names (internal/name), or a server's id.
type Identity struct {
	Cluster string // the cluster's id
	Role    Role
	Name    string // a host's, a server's id, a person's; an executor's is that of its app and epoch
}

const (
	scheme   = "godwit"
	maxParts = 128 // bytes of a cluster's id, and of a name
)

// ErrIdentity is returned for a certificate that does not say who has it, or not as this package writes it.
var ErrIdentity = errors.New("the certificate names nobody of a cluster")

// check says what is wrong with an identity.
func (id Identity) check() error {
	switch {
	case !id.Role.Valid():
		return fmt.Errorf("%w: %q is no role", ErrIdentity, string(id.Role))
	case len(id.Cluster) > maxParts || !name.Valid(id.Cluster):
		return fmt.Errorf("%w: %.80q is no cluster", ErrIdentity, id.Cluster)
	case len(id.Name) > maxParts || !name.Valid(id.Name):
		return fmt.Errorf("%w: %.80q is no name", ErrIdentity, id.Name)
	}
	return nil
}

// String is the identity as its certificate has it.
func (id Identity) String() string {
	return scheme + "://" + id.Cluster + "/" + string(id.Role) + "/" + id.Name
}

func (id Identity) url() *url.URL {
	return &url.URL{Scheme: scheme, Host: id.Cluster, Path: "/" + string(id.Role) + "/" + id.Name}
}

// ParseIdentity reads what String has written.
func ParseIdentity(text string) (Identity, error) {
	u, err := url.Parse(text)
	if err != nil {
		return Identity{}, fmt.Errorf("%w: %.80q", ErrIdentity, text)
	}
	return identityIn(u)
}

// IdentityOf reads who a certificate names. It does not say that the certificate is worth anything.
func IdentityOf(cert *x509.Certificate) (Identity, error) {
	if len(cert.URIs) != 1 || cert.URIs[0].Scheme != scheme {
		return Identity{}, ErrIdentity
	}
	return identityIn(cert.URIs[0])
}

func identityIn(u *url.URL) (Identity, error) {
	role, called, ok := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	id := Identity{Cluster: u.Host, Role: Role(role), Name: called}
	if !ok || u.Scheme != scheme || u.String() != id.String() {
		return Identity{}, fmt.Errorf("%w: %.80q", ErrIdentity, u)
	}
	return id, id.check()
}
