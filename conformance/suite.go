package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/client-go/tools/clientcmd"

	"craton.dev/craton/bootstrap"
	"craton.dev/craton/command"
	"craton.dev/craton/payload"
)

const (
	masters = 1
	workers = 2
	// userNetwork is the namespace that the platform has for it: the tests are a user's.
	userNetwork = "user"
	// grace is how long tests that are ended may take to clean up.
	grace = 20 * time.Second
	// upTime and downTime are limits: a cluster needs seconds.
	upTime   = 5 * time.Minute
	downTime = 2 * time.Minute
)

// suite is upstream's program, and the cluster that it runs on.
type suite struct {
	options
	built *payload.Payload
}

// build makes what the payload has for it.
func (s *suite) build(ctx context.Context) (err error) {
	s.built, err = payload.Build(ctx, payload.Options{
		Want: slices.Concat(payload.Default(), payload.Suite()),
		Progress: func(e payload.Event) {
			if e.State != payload.Cached {
				say("payload: %s %s", e.State, e.Component)
			}
		},
	})
	return err
}

// tests are the names of all conformance tests.
func (s *suite) tests(ctx context.Context) ([]string, error) {
	list, err := command.Run(ctx, s.built.HostBin("e2e.test"), "--list-conformance-tests")
	if err != nil {
		return nil, err
	}
	return readTests(list)
}

// session is one run: when it began, how long its tests took, and what became of them.
type session struct {
	Began   string
	Seconds float64
	tests   []outcome
}

// atOnce is how many tests one run of ginkgo's takes: it says what became of them when it has ended, and
// where it does not, because the host is too busy to end it in time, they are lost.
const atOnce = 60

// batches are runs of these tests, those that have the cluster for themselves last.
func batches(chosen []string) [][]string {
	alone := func(name string) bool { return strings.Contains(name, "[Serial]") }
	together := slices.DeleteFunc(slices.Clone(chosen), alone)
	return slices.Collect(slices.Chunk(append(together, slices.DeleteFunc(slices.Clone(chosen), func(name string) bool { return !alone(name) })...), atOnce))
}

// play brings the cluster up, runs the tests on it, one batch after another, and takes it down. keep is told
// what became of each batch.
func (s *suite) play(ctx context.Context, chosen []string, keep func(session) error) (done session, err error) {
	if err := os.MkdirAll(s.logs, 0o755); err != nil {
		return done, err
	}
	_, statErr := os.Stat(filepath.Join(bootstrap.StateRoot, s.cluster))
	there := statErr == nil
	if there && !s.keep {
		if err := s.down(ctx); err != nil {
			return done, err
		}
	}
	if !s.keep {
		defer func() { err = errors.Join(err, s.down(context.WithoutCancel(ctx))) }()
	}
	if !there || !s.keep {
		if err := s.up(ctx); err != nil {
			return done, err
		}
	}
	c, err := bootstrap.Open(s.cluster, bootstrap.Options{})
	if err != nil {
		return done, err
	}
	if c.Plan.Profile != s.profile {
		return done, fmt.Errorf("cluster %s has profile %s, not %s", s.cluster, c.Plan.Profile, s.profile)
	}
	end := time.Now().Add(s.limit)
	for _, batch := range batches(chosen) {
		left := time.Until(end) - s.compareTime()
		if left < leastTime {
			break
		}
		one, err := s.run(ctx, c, batch, left)
		if err == nil {
			err = s.compare(ctx, c, &one, time.Until(end))
		}
		done.Seconds += one.Seconds
		done.tests = append(done.tests, one.tests...)
		if err := errors.Join(err, keep(one)); err != nil {
			return done, err
		}
	}
	return done, nil
}

// leastTime is how much has to be left for a batch to begin.
const leastTime = time.Minute

// compareTime is what is kept of the limit for looking at failures without the rules.
func (s *suite) compareTime() time.Duration { return s.limit / 8 }

func (s *suite) up(ctx context.Context) error {
	file := filepath.Join(s.logs, s.cluster+".yaml")
	text := fmt.Sprintf("name: %s\nmasters: %d\nworkers: %d\nprofile: %s\n", s.cluster, masters, workers, s.profile)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return err
	}
	say("bringing up %s, %d+%d, profile %s", s.cluster, masters, workers, s.profile)
	_, err := command.Cmd{Name: s.craton, Args: []string{"up", "--file", file}, Timeout: upTime}.Run(ctx)
	return err
}

func (s *suite) down(ctx context.Context) error {
	_, err := command.Cmd{Name: s.craton, Args: []string{"down", "--cluster", s.cluster}, Timeout: downTime}.Run(ctx)
	return err
}

// focus is the regular expression that names exactly these tests.
func focus(names []string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = regexp.QuoteMeta(name)
	}
	return "(" + strings.Join(quoted, "|") + ")$"
}

// kubeconfig writes one for the user network, and returns its path. Upstream's tests drop the name
// that a kubeconfig says to verify, so the host's loopback port will not do: it has the API's own name.
func (s *suite) kubeconfig(c *bootstrap.Cluster) (string, error) {
	b, err := c.Kubeconfig()
	if err != nil {
		return "", err
	}
	config, err := clientcmd.Load(b)
	if err != nil {
		return "", err
	}
	for _, to := range config.Clusters {
		to.Server = "https://" + net.JoinHostPort(c.Plan.Network.APIServer, strconv.Itoa(int(c.Plan.Network.APIPort)))
		to.TLSServerName = ""
	}
	path := filepath.Join(s.logs, s.cluster+".kubeconfig")
	return path, clientcmd.WriteToFile(*config, path)
}

// inUserNetwork runs a command as a user's: in the user network, and where the API's name is known
// to it. The host's own names stay as they are: the command has a mount namespace of its own.
func (s *suite) inUserNetwork(ctx context.Context, c *bootstrap.Cluster, cmd command.Cmd) error {
	hosts := filepath.Join(s.logs, s.cluster+".hosts")
	text := fmt.Sprintf("127.0.0.1 localhost\n%s %s\n", c.Plan.Network.LoadBalancer, c.Plan.Network.APIServer)
	if err := os.WriteFile(hosts, []byte(text), 0o644); err != nil {
		return err
	}
	cmd.Args = append([]string{"--mount", "sh", "-c", `mount --bind "$0" /etc/hosts && exec "$@"`, hosts, cmd.Name}, cmd.Args...)
	cmd.Name = "unshare"
	return c.Platform.In(userNetwork, func() error {
		_, err := cmd.Run(ctx)
		return err
	})
}

// run runs the tests in the user network. ginkgo runs several at once, and those marked
// [Serial] alone.
func (s *suite) run(ctx context.Context, c *bootstrap.Cluster, chosen []string, limit time.Duration) (session, error) {
	began := time.Now()
	done := session{Began: began.UTC().Format("2006-01-02 15:04")}
	kubeconfig, err := s.kubeconfig(c)
	if err != nil {
		return done, err
	}
	stamp := s.profile + "-" + began.UTC().Format("0102-150405")
	log, err := os.Create(filepath.Join(s.logs, stamp+".log"))
	if err != nil {
		return done, err
	}
	defer log.Close()
	say("%d tests, %d at once; what they say: %s", len(chosen), s.at, log.Name())
	ginkgo := command.Cmd{
		Name: s.built.HostBin("ginkgo"),
		Args: []string{
			fmt.Sprintf("--procs=%d", s.at), "--no-color", "--timeout=" + limit.String(), "--grace-period=" + grace.String(),
			"--focus=" + focus(chosen), s.built.HostBin("e2e.test"), "--",
			"--kubeconfig=" + kubeconfig, "--kubectl-path=" + s.built.HostBin("kubectl"), "--provider=skeleton",
			// Upstream's tests wait until each machine takes pods, but for these.
			"--non-blocking-taints=node-role.kubernetes.io/master,node-role.kubernetes.io/control-plane",
			"--report-dir=" + s.logs, "--report-prefix=" + stamp + "_", "--e2e-output-dir=" + s.logs, "--disable-log-dump=true",
		},
		Dir: s.logs, Stdout: log, Stderr: log, Timeout: limit + 5*grace,
	}
	err = s.inUserNetwork(ctx, c, ginkgo)
	done.Seconds = time.Since(began).Seconds()
	// It fails where a test has failed: its report tells. There is none where it could not begin.
	junit := filepath.Join(s.logs, "junit_"+stamp+"_01.xml")
	tests, readErr := readJUnit(junit, ctx.Err() != nil || time.Since(began) >= limit)
	if readErr != nil {
		return done, errors.Join(readErr, err)
	}
	for i := range tests {
		tests[i].Began = done.Began
	}
	done.tests = tests
	return done, ctx.Err()
}
