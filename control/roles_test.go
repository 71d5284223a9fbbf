package control

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/internal/trust"
)

// TestEveryMethodHasItsRoles: each method that a server answers has an entry, and none that it does not.
func TestEveryMethodHasItsRoles(t *testing.T) {
	answered := map[string]bool{}
	for spec := range (&Control{}).methods().Specs() {
		if strings.HasPrefix(spec.Procedure, reflection) {
			require.False(t, allows(nobody, spec.Procedure))
			require.True(t, allows(trust.Reader, spec.Procedure))
			continue
		}
		answered[spec.Procedure] = true
		require.Contains(t, mayCall, spec.Procedure, "who may call it? give it an entry in roles.go")
	}
	for m, roles := range mayCall {
		require.Contains(t, answered, m, "nothing answers it")
		for _, r := range roles {
			require.True(t, r == nobody || r.Valid(), "%s: %s", m, r)
		}
	}
}

// TestDefaultDeny: nobody may call what has no entry, servers neither; and the roles have no more than they are to.
func TestDefaultDeny(t *testing.T) {
	for _, r := range []trust.Role{nobody, trust.Reader, trust.Operator, trust.Admin, trust.Worker, trust.Executor, trust.Submitter, trust.Server} {
		require.False(t, allows(r, "/godwit.v1.Control/Nothing"))
	}
	count := func(r trust.Role) (mine []string) {
		for m := range mayCall {
			if allows(r, m) {
				mine = append(mine, m[strings.LastIndex(m, "/")+1:])
			}
		}
		slices.Sort(mine)
		return mine
	}
	require.Equal(t, []string{"Check", "Enroll", "List"}, count(nobody))
	require.Empty(t, count(trust.Executor))
	require.Empty(t, count(trust.Submitter), "tenants are not apart yet")
	require.Equal(t, []string{
		"Check", "Discover", "DownloadBlob", "Enroll", "FetchModule", "FindBlobs", "GetHost", "List", "ListHosts", "Session", "SetHostWish", "UploadBlob",
	}, count(trust.Worker))
	require.Len(t, count(trust.Server), len(mayCall))
	for _, m := range count(trust.Reader) {
		require.NotRegexp(t, "^(Set|Submit|Cancel|Remove|Create|Revoke|Upload|Migrate|Clear|Transfer|Write|Checkpoint|Thaw|Import|Compile|Push|Session)", m)
	}
}
