package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/godwit-run/godwit/fsm"
)

const (
	// noticeEach is how often it is looked for a notice.
	noticeEach = 2 * time.Second
	// noticeAsk bounds one look.
	noticeAsk = 5 * time.Second
	// noticeTime is how long a machine has whose notice does not say: the shortest that the clouds give.
	noticeTime = 30 * time.Second
	// noticeBytes bounds what a notice says.
	noticeBytes = 64 << 10
	// noticeGone is how often in a row there is none until a host is no longer evicted for one.
	noticeGone = 3
)

// goNotice is that a machine will go.
type goNotice struct {
	in  time.Duration // from now on
	why string
}

// noticer looks once whether there is a notice; nil: there is none.
type noticer func(ctx context.Context) (*goNotice, error)

// noticeFrom is who knows of notices, by what --notice says: file:PATH, command:COMMAND, or a cloud.
func noticeFrom(spec string) (noticer, error) {
	kind, rest, _ := strings.Cut(spec, ":")
	if at, err := url.Parse(rest); rest != "" && slices.Contains([]string{"aws", "gcp", "azure"}, kind) && (err != nil || at.Host == "" || at.Scheme != "http" && at.Scheme != "https") {
		return nil, usagef("--notice %s: behind a cloud's name there may be the URL of its service of metadata, such as %s:http://127.0.0.1:8080", spec, kind)
	}
	switch kind {
	case "file":
		if rest != "" {
			return fileNotice(rest), nil
		}
	case "command":
		if rest != "" {
			return commandNotice(rest), nil
		}
	case "aws":
		return awsNotice(endpoint(rest, "http://169.254.169.254")), nil
	case "gcp":
		return gcpNotice(endpoint(rest, "http://metadata.google.internal")), nil
	case "azure":
		return azureNotice(endpoint(rest, "http://169.254.169.254")), nil
	}
	return nil, usagef("--notice %s: give file:PATH, command:COMMAND, aws, gcp or azure", spec)
}

// endpoint is where a cloud's service of metadata is, unless a URL is given behind its name.
func endpoint(given, usual string) string {
	if given != "" {
		return strings.TrimSuffix(given, "/")
	}
	return usual
}

// said reads what a file or a command says: in how many seconds the machine goes, or in which time (such as 90s), or when (RFC 3339), or nothing, and then why.
func said(words string, now time.Time) *goNotice {
	n := &goNotice{in: noticeTime}
	words = strings.TrimSpace(words)
	first, rest := words, ""
	if i := strings.IndexFunc(words, unicode.IsSpace); i >= 0 {
		first, rest = words[:i], words[i:]
	}
	if s, err := strconv.ParseFloat(first, 64); err == nil && s >= 0 && s < 1e9 {
		n.in, words = time.Duration(s*float64(time.Second)), rest
	} else if in, err := time.ParseDuration(first); err == nil && in >= 0 {
		n.in, words = in, rest
	} else if at, err := time.Parse(time.RFC3339, first); err == nil {
		n.in, words = at.Sub(now), rest
	}
	n.why = strings.TrimSpace(words)
	return n
}

func fileNotice(path string) noticer {
	return func(context.Context) (*goNotice, error) {
		about, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, nil //nolint:nilnil // there is none
		case err != nil:
			return nil, err
		case !about.Mode().IsRegular():
			return nil, fmt.Errorf("%s is no regular file", path)
		}
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close() //nolint:errcheck // only read
		b, err := io.ReadAll(io.LimitReader(f, noticeBytes))
		if err != nil {
			return nil, err
		}
		return said(string(b), time.Now()), nil
	}
}

func commandNotice(command string) noticer {
	return func(ctx context.Context) (*goNotice, error) {
		var out beginning
		c := exec.CommandContext(ctx, "/bin/sh", "-c", command) //nolint:gosec // that is what it is for
		c.Stdout = &out
		c.WaitDelay = time.Second
		c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }
		err := c.Run()
		if c.Process != nil {
			_ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL) // what it has left behind; there is mostly nothing
		}
		var exit *exec.ExitError
		switch {
		case errors.As(err, &exit) && ctx.Err() == nil && exit.ExitCode() > 0 && exit.ExitCode() < notRun:
			return nil, nil //nolint:nilnil // it says that there is none
		case err != nil:
			return nil, fmt.Errorf("the command of --notice: %w", err)
		}
		return said(string(out), time.Now()), nil
	}
}

// notRun is the least exit code of a shell that says that the command was not run, or ended by a signal.
const notRun = 126

// beginning is of what is written the first noticeBytes.
type beginning []byte

func (b *beginning) Write(p []byte) (int, error) {
	*b = append(*b, p[:min(len(p), noticeBytes-len(*b))]...)
	return len(p), nil
}

// asked is the answer of a service of metadata; nil: it has nothing of that.
func asked(ctx context.Context, method, url string, headers ...string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return nil, err
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req) // no proxy: it is this machine's own
	if err != nil {
		return nil, err
	}
	defer res.Body.Close() //nolint:errcheck // only read
	switch {
	case res.StatusCode == http.StatusNotFound:
		return nil, nil
	case res.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%s answers %s", url, res.Status)
	}
	return io.ReadAll(io.LimitReader(res.Body, noticeBytes))
}

// awsNotice asks EC2's service, by a session of its second version: "Spot Instance interruption notices" of its manual.
func awsNotice(base string) noticer {
	return func(ctx context.Context) (*goNotice, error) {
		token, err := asked(ctx, http.MethodPut, base+"/latest/api/token", "X-aws-ec2-metadata-token-ttl-seconds", "60")
		if err != nil {
			return nil, err
		}
		b, err := asked(ctx, http.MethodGet, base+"/latest/meta-data/spot/instance-action", "X-aws-ec2-metadata-token", string(token))
		if err != nil || b == nil {
			return nil, err
		}
		var action struct {
			Action string
			Time   time.Time
		}
		switch err := json.Unmarshal(b, &action); {
		case err != nil:
			return nil, fmt.Errorf("the notice of EC2: %w", err)
		case action.Action == "":
			return nil, fmt.Errorf("the notice of EC2 has no action: %.100q", b)
		case action.Time.IsZero():
			action.Time = time.Now().Add(noticeTime)
		}
		return &goNotice{time.Until(action.Time), "EC2 says: " + action.Action}, nil
	}
}

// gcpNotice asks Compute Engine's service: "Spot VMs, detect preemption" of its manual.
func gcpNotice(base string) noticer {
	return func(ctx context.Context) (*goNotice, error) {
		b, err := asked(ctx, http.MethodGet, base+"/computeMetadata/v1/instance/preempted", "Metadata-Flavor", "Google")
		if err != nil || strings.TrimSpace(string(b)) != "TRUE" {
			return nil, err
		}
		return &goNotice{noticeTime, "Compute Engine says that the machine is preempted"}, nil
	}
}

// azureNotice asks Azure's service: "Scheduled Events" of its manual. All machines of a group hear of each event, which names those that it is about.
func azureNotice(base string) noticer {
	return func(ctx context.Context) (*goNotice, error) {
		b, err := asked(ctx, http.MethodGet, base+"/metadata/scheduledevents?api-version=2020-07-01", "Metadata", "true")
		if err != nil || b == nil {
			return nil, err
		}
		var all struct {
			Events []struct {
				EventType, EventStatus, NotBefore string
				Resources                         []string
			}
		}
		if err := json.Unmarshal(b, &all); err != nil {
			return nil, fmt.Errorf("the events of Azure: %w", err)
		}
		for _, e := range all.Events {
			if e.EventType != "Preempt" && e.EventType != "Terminate" || e.EventStatus == "Completed" {
				continue
			}
			name, err := asked(ctx, http.MethodGet, base+"/metadata/instance/compute/name?api-version=2021-02-01&format=text", "Metadata", "true")
			if err != nil {
				return nil, err
			}
			if !slices.ContainsFunc(e.Resources, func(r string) bool { return strings.EqualFold(r, strings.TrimSpace(string(name))) }) {
				continue
			}
			n := &goNotice{noticeTime, "Azure says: " + e.EventType}
			if at, err := http.ParseTime(e.NotBefore); err == nil {
				n.in = time.Until(at)
			}
			return n, nil
		}
		return nil, nil //nolint:nilnil // there is none
	}
}

// watchNotices has the host evicted as long as there is a notice, whatever others say of it meanwhile, and takes that back when there is none any more: such as on the
// machine that came in its place.
func (d *drainer) watchNotices(ctx context.Context, look noticer) {
	troubled, unknown, none, free, said := false, false, 0, false, ""
	for {
		asking, cancel := context.WithTimeout(ctx, noticeAsk)
		n, err := look(asking)
		cancel()
		switch {
		case err != nil:
			if none = 0; !troubled && ctx.Err() == nil {
				d.log.Warn("it is not known whether there is a notice that this machine will go", "err", err)
			}
		case n != nil:
			none, free = 0, false
			if said != n.why {
				said = n.why
				d.log.Warn("this machine will go", "in", n.in.Round(time.Second), "why", n.why)
			}
			err := d.evictOnce(ctx, time.Now().Add(n.in), n.why)
			if err != nil && !unknown && ctx.Err() == nil {
				d.log.Warn("the servers do not know yet that this machine will go", "err", err)
			}
			unknown = err != nil
		default:
			if none++; none >= noticeGone && !free {
				free, said = d.takeBackOnce(ctx, noticeReason), ""
			}
		}
		troubled = err != nil
		pause := noticeEach
		if unknown {
			pause = time.Second
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
}

// noticeSlack is how much sooner a notice must be than what the servers know, to be said again: what says how long it is has no more than seconds, and each look comes a bit later.
const noticeSlack = 2 * time.Second

// evictOnce says that the host goes at a time. Who evicts it already, to go no later, has said so.
func (d *drainer) evictOnce(ctx context.Context, at time.Time, why string) error {
	ctx, cancel := context.WithTimeout(ctx, patient)
	defer cancel()
	d.mu.Lock()
	defer d.mu.Unlock()
	host, err := d.find(ctx)
	if err != nil || fsm.WishOf(host) == fsm.Evicting && host.Deadline != nil && !host.Deadline.AsTime().After(at.Add(noticeSlack)) {
		return err
	}
	_, err = d.wish(ctx, fsm.Evicting, min(max(time.Second, time.Until(at)), fsm.MaxWishMs*time.Millisecond), noticeReason+why)
	return err
}
