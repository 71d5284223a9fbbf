package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"connectrpc.com/connect/v2"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/control"
	"github.com/godwit-run/godwit/internal/apierr"
	"github.com/godwit-run/godwit/internal/listen"
	"github.com/godwit-run/godwit/internal/text"
	"github.com/godwit-run/godwit/internal/transport"
	"github.com/godwit-run/godwit/internal/trust"
)

const (
	// enrollWait bounds one request for a certificate.
	enrollWait = 5 * time.Second
	// enrollAgain is how long is waited when all servers have been asked in vain.
	enrollAgain = time.Second
	// renewAgain is the same for one that is renewed, which has a third of its life left.
	renewAgain = 20 * time.Second
)

// badge is what a server or worker of a secured cluster is known by, and how that stays so.
type badge struct {
	dataDir string
	token   string          // of --join-token; empty: none was given
	servers func() []string // that may renew it
	log     *slog.Logger

	kept    *trust.Kept
	holder  *trust.Holder
	founded bool // its cluster, just now
}

// load reads what an earlier process has kept; ok: there is something. A certificate whose time is over counts as long as there is no token to get another by.
func (b *badge) load() (ok bool, err error) {
	if b.kept, err = trust.Load(b.dataDir); err != nil || b.kept == nil {
		return false, err
	}
	if b.holder, err = b.kept.Holder(); err == nil {
		return true, nil
	}
	if b.token == "" {
		return false, fmt.Errorf("what this process is known by in its cluster (%s): %w. Join anew: give --join-token (godwit token create)", b.dataDir, err)
	}
	b.log.Warn("what this process was known by is worth nothing any more: it joins anew", "why", err)
	return false, nil
}

// join gets a certificate for a token, from whichever of the servers gives one, and keeps it. It tries until one does, or one says that none will, or ctx ends.
func (b *badge) join(ctx context.Context, addrs []string, called string) error {
	token, err := trust.ParseToken(b.token)
	if err != nil {
		return usagef("--join-token: %w", err)
	}
	said := text.Lately{For: sayAgain}
	for {
		for _, addr := range addrs {
			var authority []byte
			h := transport.NewHTTPClientBy(listen.Pinned(token.Pin, func(der []byte) { authority = der }))
			kept, err := request(ctx, h, addr, &apiv1.EnrollRequest{Token: token.Secret(), Name: called})
			h.CloseIdleConnections()
			switch {
			case err == nil && string(kept.Authority) != string(authority):
				err = trust.ErrPin
			case err == nil:
				return b.keep(kept)
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if inVain(err) {
				return fmt.Errorf("join the cluster at %s: %w", addr, err)
			}
			if said.News(err.Error(), time.Now()) {
				b.log.Warn("no certificate yet", "server", addr, "why", apierr.Message(err))
			}
		}
		select {
		case <-time.After(enrollAgain):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// inVain says whether asking again is in vain.
func inVain(err error) bool {
	codes := []connect.Code{connect.CodeUnauthenticated, connect.CodePermissionDenied, connect.CodeInvalidArgument, connect.CodeFailedPrecondition}
	return slices.Contains(codes, connect.CodeOf(err)) || errors.Is(err, trust.ErrPin)
}

// request asks a server for a certificate for a new key.
func request(ctx context.Context, h *http.Client, addr string, req *apiv1.EnrollRequest) (*trust.Kept, error) {
	ctx, cancel := context.WithTimeout(ctx, enrollWait)
	defer cancel()
	key, asked, err := trust.Request()
	if err != nil {
		return nil, err
	}
	req.Request = asked
	res, err := apiv1connect.NewControlClient(transport.NewBoundedClient(h, addr, maxAnswer)).Enroll(ctx, req)
	if err != nil {
		return nil, err
	}
	return &trust.Kept{Certificate: res.Certificate, Authority: res.Authority, Key: key, Gossip: res.GossipKeys, Seal: res.Seal}, nil
}

// keep has what was given take the place of what there is.
func (b *badge) keep(kept *trust.Kept) error {
	h, err := kept.Holder()
	if err != nil {
		return err
	}
	if b.holder != nil && h.Identity() == b.holder.Identity() {
		if err := b.holder.Replace(kept.Certificate, kept.Key); err != nil {
			return err
		}
		h = b.holder
	}
	if err := kept.Save(b.dataDir); err != nil {
		return fmt.Errorf("keep the certificate: %w", err)
	}
	b.kept, b.holder = kept, h
	return nil
}

// renew keeps the certificate good until ctx ends: it gets another before two thirds of its life are over.
func (b *badge) renew(ctx context.Context) error {
	h := transport.NewHTTPClientBy(listen.To(b.holder, trust.Server))
	defer h.CloseIdleConnections()
	said := text.Lately{For: sayAgain}
	wait := control.RenewIn(b.holder, time.Now())
	for {
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		}
		err := b.renewOnce(ctx, h)
		if err == nil {
			b.log.Info("the certificate was renewed", "until", b.holder.Expires().UTC().Format(time.DateTime))
			wait = max(control.RenewIn(b.holder, time.Now()), time.Second)
			continue
		}
		if ctx.Err() == nil && said.News(err.Error(), time.Now()) {
			b.log.Warn("the certificate is due to be renewed, and no server does it", "until", b.holder.Expires().UTC().Format(time.DateTime), "why", apierr.Message(err))
		}
		wait = renewAgain
	}
}

// renewOnce asks each server once. When the certificate is over the token gets another, if there is one.
func (b *badge) renewOnce(ctx context.Context, h *http.Client) error {
	err := errors.New("no server is known")
	over := !time.Now().Before(b.holder.Expires())
	if over && b.token != "" {
		ctx, cancel := context.WithTimeout(ctx, renewAgain)
		defer cancel()
		return b.join(ctx, b.servers(), b.holder.Identity().Name)
	}
	for _, addr := range b.servers() {
		var kept *trust.Kept
		if kept, err = request(ctx, h, addr, &apiv1.EnrollRequest{}); err == nil {
			return b.keep(kept)
		}
	}
	return err
}
