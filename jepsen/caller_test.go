package jepsen

import (
	"context"
	"fmt"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/jepsen/history"
)

// caller makes one operation after the other and has each recorded. After one of unknown end it is a new client, with
// connections of its own.
type caller struct {
	tr   *traffic
	id   int
	keys int
	addr string
	api  *client
}

// do makes one call, once: what it does not answer in time is unknown.
func (k *caller) do(op history.Op, f func(context.Context, apiv1connect.ControlClient, *history.Op) error) history.Op {
	op.Client, op.Server = k.id, k.addr
	op = k.tr.rec.Do(op, func(op *history.Op) error {
		ctx, cancel := context.WithTimeout(context.Background(), callLimit)
		defer cancel()
		return f(ctx, k.api.control(k.addr), op)
	})
	k.tr.saw(op.Apps)
	if op.End == history.Info {
		k.id += 100
		k.api.http.CloseIdleConnections()
		k.api = newClient()
	}
	return op
}

// submit asks for an app; again: if the end is unknown it asks once more with the same key.
func (k *caller) submit(spec *apiv1.AppSpec, again bool) history.Op {
	k.keys++
	key := fmt.Sprintf("submit-%d-%d", k.id, k.keys)
	op := k.ask(key, spec)
	if op.End == history.Info && again {
		op = k.ask(key, spec)
	}
	return op
}

// ask makes one submission.
func (k *caller) ask(key string, spec *apiv1.AppSpec) history.Op {
	return k.do(history.Op{Kind: history.Submit, Key: key}, func(ctx context.Context, api apiv1connect.ControlClient, op *history.Op) error {
		res, err := api.Submit(ctx, &apiv1.SubmitRequest{IdempotencyKey: key, Spec: spec})
		if err == nil {
			op.Index, op.Apps = res.GetIndex(), []history.Seen{history.See(res.GetApp())}
		}
		return err
	})
}

// submitTwice asks for an app, and then asks another server for the same with the same key, as a client does that has lost
// the answer.
func (k *caller) submitTwice(spec *apiv1.AppSpec, other string) {
	k.keys++
	home, key := k.addr, fmt.Sprintf("twice-%d-%d", k.id, k.keys)
	for _, k.addr = range []string{home, other} {
		k.ask(key, spec)
	}
	k.addr = home
}

func (k *caller) status(app string) history.Op {
	return k.do(history.Op{Kind: history.Status, App: app}, func(ctx context.Context, api apiv1connect.ControlClient, op *history.Op) error {
		res, err := api.GetApp(ctx, &apiv1.GetAppRequest{App: app})
		if err == nil {
			op.Index, op.Apps = res.GetIndex(), []history.Seen{history.See(res.GetApp())}
		}
		return err
	})
}

func (k *caller) cancel(app string) history.Op {
	k.keys++
	key := fmt.Sprintf("cancel-%d-%d", k.id, k.keys)
	return k.do(history.Op{Kind: history.Cancel, Key: key, App: app}, func(ctx context.Context, api apiv1connect.ControlClient, op *history.Op) error {
		res, err := api.CancelApp(ctx, &apiv1.CancelAppRequest{IdempotencyKey: key, App: app, Reason: "by a client of a test"})
		if err == nil {
			op.Index, op.Apps = res.GetIndex(), []history.Seen{history.See(res.GetApp())}
		}
		return err
	})
}

// list asks for all apps. Each page of theirs is an operation: what comes and goes between two pages may be on neither.
func (k *caller) list() history.Op {
	token := ""
	page := func() history.Op {
		return k.do(history.Op{Kind: history.List}, func(ctx context.Context, api apiv1connect.ControlClient, op *history.Op) error {
			res, err := api.ListApps(ctx, &apiv1.ListAppsRequest{All: true, PageToken: token})
			if err == nil {
				op.Index, op.Partial = res.GetIndex(), token != "" || res.GetNextPageToken() != ""
				for _, a := range res.GetApps() {
					op.Apps = append(op.Apps, history.See(a))
				}
				token = res.GetNextPageToken()
			}
			return err
		})
	}
	all := page()
	for token != "" && all.End == history.OK {
		next := page()
		all.End, all.Error, all.Index, all.Apps = next.End, next.Error, next.Index, append(all.Apps, next.Apps...)
	}
	return all
}

// migrate asks for a move to one host after the other, and does not care what comes of it: the audit of the log does.
func (k *caller) migrate(app string, rank int32, hosts []string) {
	for _, to := range hosts {
		ctx, cancel := context.WithTimeout(context.Background(), callLimit)
		_, err := k.api.control(k.addr).Migrate(ctx, &apiv1.MigrateRequest{App: app, Rank: rank, To: to})
		cancel()
		if end, _ := history.Classify(err); end != history.Fail {
			return
		}
	}
}

// finish is the last list, once all is healed: it is asked until it is answered.
func (k *caller) finish(limit time.Duration) (history.Op, error) {
	deadline := time.Now().Add(limit)
	for i := 0; ; i++ {
		k.addr = k.tr.c.api.addrs[i%len(k.tr.c.api.addrs)]
		op := k.list()
		done := op.End == history.OK
		for _, a := range op.Apps {
			if !over(a) {
				done = false
				k.cancel(a.ID)
			}
		}
		if done {
			return op, nil
		}
		if time.Now().After(deadline) {
			return op, fmt.Errorf("apps have not ended within %s: %s %s %+v", limit, op.End, op.Error, op.Apps)
		}
		<-time.After(200 * time.Millisecond)
	}
}
