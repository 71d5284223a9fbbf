package control

import (
	"slices"
	"strings"

	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/trust"
)

// Who may call what, in a secured cluster. Servers may call everything: each of them has what opens the cluster's authority. Nobody else may call what has no entry.

// nobody is the role of who has not said who he is.
const nobody trust.Role = ""

// Kinds of methods, by who may call them.
var (
	forReaders   = []trust.Role{trust.Reader, trust.Operator, trust.Admin}                       //nolint:gochecknoglobals // an immutable list
	forOperators = []trust.Role{trust.Operator, trust.Admin}                                     //nolint:gochecknoglobals // an immutable list
	forAdmins    = []trust.Role{trust.Admin}                                                     //nolint:gochecknoglobals // an immutable list
	forServers   = []trust.Role{}                                                                //nolint:gochecknoglobals // an immutable list
	forWorkers   = []trust.Role{trust.Worker}                                                    //nolint:gochecknoglobals // an immutable list
	forStorers   = []trust.Role{trust.Operator, trust.Admin, trust.Worker}                       //nolint:gochecknoglobals // an immutable list: workers too, who store
	forMembers   = []trust.Role{trust.Reader, trust.Operator, trust.Admin, trust.Worker}         //nolint:gochecknoglobals // an immutable list: whoever is of the cluster
	forAnybody   = []trust.Role{nobody, trust.Reader, trust.Operator, trust.Admin, trust.Worker} //nolint:gochecknoglobals // an immutable list
)

// mayCall is who may call each method of a server.
var mayCall = map[string][]trust.Role{ //nolint:gochecknoglobals // an immutable table
	apiv1connect.ControlSubmitProcedure:             forOperators,
	apiv1connect.ControlListAppsProcedure:           forReaders,
	apiv1connect.ControlGetAppProcedure:             forReaders,
	apiv1connect.ControlHoldAppProcedure:            forOperators,
	apiv1connect.ControlWaitAppProcedure:            forReaders,
	apiv1connect.ControlCancelAppProcedure:          forOperators,
	apiv1connect.ControlListHostsProcedure:          forMembers,
	apiv1connect.ControlGetHostProcedure:            forMembers,
	apiv1connect.ControlListMigrationsProcedure:     forReaders,
	apiv1connect.ControlMigrateProcedure:            forOperators,
	apiv1connect.ControlSetHostWishProcedure:        forStorers, // a worker: of its own host
	apiv1connect.ControlGetSchedulingProcedure:      forReaders,
	apiv1connect.ControlSetSchedulingProcedure:      forOperators,
	apiv1connect.ControlSetTenantProcedure:          forOperators,
	apiv1connect.ControlRenewCodeKeyProcedure:       forAdmins,
	apiv1connect.ControlExplainProcedure:            forReaders,
	apiv1connect.ControlListCandidatesProcedure:     forReaders,
	apiv1connect.ControlListModulesProcedure:        forReaders,
	apiv1connect.ControlUploadModuleProcedure:       forOperators,
	apiv1connect.ControlRemoveModuleProcedure:       forOperators,
	apiv1connect.ControlCompileModuleProcedure:      forOperators,
	apiv1connect.ControlLogsProcedure:               forReaders,
	apiv1connect.ControlListServersProcedure:        forReaders,
	apiv1connect.ControlClearAlarmsProcedure:        forOperators,
	apiv1connect.ControlRemoveServerProcedure:       forAdmins,
	apiv1connect.ControlTransferLeadershipProcedure: forOperators,
	apiv1connect.ControlFindBlobsProcedure:          forStorers,
	apiv1connect.ControlUploadBlobProcedure:         forStorers,
	apiv1connect.ControlDownloadBlobProcedure:       forMembers,
	apiv1connect.ControlReadFilesProcedure:          forReaders,
	apiv1connect.ControlWriteInputProcedure:         forOperators,
	apiv1connect.ControlInspectRanksProcedure:       forReaders,
	apiv1connect.ControlCheckpointProcedure:         forOperators,
	apiv1connect.ControlThawAppProcedure:            forOperators,
	apiv1connect.ControlListCheckpointsProcedure:    forReaders,
	apiv1connect.ControlRemoveCheckpointProcedure:   forOperators,
	apiv1connect.ControlImportCheckpointProcedure:   forOperators,
	apiv1connect.ControlEnrollProcedure:             forAnybody, // with a token, or a certificate: it looks itself
	apiv1connect.ControlCreateTokenProcedure:        forAdmins,
	apiv1connect.ControlListTokensProcedure:         forAdmins,
	apiv1connect.ControlRevokeTokenProcedure:        forAdmins,

	apiv1connect.ClusterDiscoverProcedure:    forMembers,
	apiv1connect.ClusterSessionProcedure:     forWorkers, // of its own host
	apiv1connect.ClusterFetchModuleProcedure: forWorkers,
	apiv1connect.ClusterPushModuleProcedure:  forServers,

	grpc_health_v1.Health_Check_FullMethodName: forAnybody,
	grpc_health_v1.Health_List_FullMethodName:  forAnybody,
}

// reflection is what describes the API, of any version.
const reflection = "/grpc.reflection."

// allows says whether a role may call a method.
func allows(role trust.Role, procedure string) bool {
	if strings.HasPrefix(procedure, reflection) {
		return role != nobody
	}
	roles, known := mayCall[procedure]
	return known && (role == trust.Server || slices.Contains(roles, role))
}
