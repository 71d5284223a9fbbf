package control

import (
	"cmp"
	"context"
	"strings"

	"connectrpc.com/connect/v2"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/apierr"
	"github.com/godwit-run/godwit/internal/text"
)

// AlarmService is the name under which grpc.health.v1 tells of alarms: not serving while there are any.
const AlarmService = "godwit.alarms"

// alarmHeader holds what /readyz says of alarms, a value an alarm, in the answers of grpc.health.v1.
const alarmHeader = "godwit-alarm"

// maxHeaderAlarms bounds them: all are in the list of servers.
const maxHeaderAlarms = 8

// unready is why this server is not to be used; empty: it is. An alarm is no reason. It is the one word behind /readyz and
// grpc.health.v1.
func (c *Control) unready() string {
	if leader, _ := c.log.Leader(); leader != "" {
		return ""
	}
	return cmp.Or(c.peers.Removed(), "no leader is known")
}

// healths are the services of grpc.health.v1, with what is told of each, and the alarms there are.
func (c *Control) healths() (status map[string]grpc_health_v1.HealthCheckResponse_ServingStatus, alarms []string) {
	serving := func(yes bool) grpc_health_v1.HealthCheckResponse_ServingStatus {
		if yes {
			return grpc_health_v1.HealthCheckResponse_SERVING
		}
		return grpc_health_v1.HealthCheckResponse_NOT_SERVING
	}
	for line := range strings.Lines(c.alarms()) {
		alarms = append(alarms, strings.TrimSpace(line))
	}
	ready := serving(c.unready() == "")
	return map[string]grpc_health_v1.HealthCheckResponse_ServingStatus{
		"": ready, apiv1connect.ControlName: ready, apiv1connect.ClusterName: ready, AlarmService: serving(len(alarms) == 0),
	}, alarms
}

// registerHealth adds grpc.health.v1, which says what /readyz says.
func (c *Control) registerHealth(s *connect.Server) {
	methods := grpc_health_v1.File_grpc_health_v1_health_proto.Services().ByName("Health").Methods()
	add := func(name, procedure string, handle func(ctx context.Context, stream connect.ServerStream) error) {
		s.Register(connect.Method{
			Spec: connect.Spec{
				StreamType: connect.StreamTypeUnary, Procedure: procedure, Schema: methods.ByName(protoreflect.Name(name)),
			},
			Handler: func(ctx context.Context, _ connect.Spec, stream connect.ServerStream) error {
				return handle(ctx, stream)
			},
		})
	}
	add("Check", grpc_health_v1.Health_Check_FullMethodName, func(ctx context.Context, stream connect.ServerStream) error {
		var req grpc_health_v1.HealthCheckRequest
		if err := stream.Receive(&req); err != nil {
			return err
		}
		all, alarms := c.healths()
		status, ok := all[req.Service]
		if !ok {
			return connect.NewError(connect.CodeNotFound, text.Cut("no service "+req.Service, apierr.MaxText))
		}
		tellAlarms(ctx, alarms)
		return stream.Send(&grpc_health_v1.HealthCheckResponse{Status: status})
	})
	add("List", grpc_health_v1.Health_List_FullMethodName, func(ctx context.Context, stream connect.ServerStream) error {
		if err := stream.Receive(&grpc_health_v1.HealthListRequest{}); err != nil {
			return err
		}
		all, alarms := c.healths()
		res := &grpc_health_v1.HealthListResponse{Statuses: map[string]*grpc_health_v1.HealthCheckResponse{}}
		for service, status := range all {
			res.Statuses[service] = &grpc_health_v1.HealthCheckResponse{Status: status}
		}
		tellAlarms(ctx, alarms)
		return stream.Send(res)
	})
}

// tellAlarms puts alarms into the header of an answer. What a header cannot hold is left out.
func tellAlarms(ctx context.Context, alarms []string) {
	info, ok := connect.CallInfoForServerContext(ctx)
	if !ok {
		return
	}
	for _, a := range alarms[:min(len(alarms), maxHeaderAlarms)] {
		info.ResponseHeader().Add(alarmHeader, strings.Map(func(r rune) rune {
			if r < ' ' || r > '~' {
				return '?'
			}
			return r
		}, a))
	}
}
