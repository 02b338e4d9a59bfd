//go:build ignore

// cAdvisor serves the metrics of a machine's containers. Upstream's own program cannot be
// built from modules alone; this one is the kubelet's collector with a port, and asks of
// whoever reads it to have one of the addresses that may.

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/google/cadvisor/lib/cache/memory"
	"github.com/google/cadvisor/lib/container"
	_ "github.com/google/cadvisor/lib/container/containerd/install"
	_ "github.com/google/cadvisor/lib/fs/overlay/install"
	_ "github.com/google/cadvisor/lib/fs/tmpfs/install"
	_ "github.com/google/cadvisor/lib/fs/vfs/install"
	"github.com/google/cadvisor/lib/manager"
	"github.com/google/cadvisor/lib/metrics"
	"github.com/google/cadvisor/lib/model"
	"github.com/google/cadvisor/lib/utils/sysfs"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"k8s.io/utils/clock"
)

// kept is for how long samples are kept: whoever wants more of them stores them himself.
const kept = time.Minute

// measured are the metrics that tell what a container uses. Others cost more than they tell.
var measured = container.MetricSet{
	container.CpuUsageMetrics:     {},
	container.MemoryUsageMetrics:  {},
	container.DiskIOMetrics:       {},
	container.NetworkUsageMetrics: {},
	container.OOMMetrics:          {},
}

func main() {
	listen := flag.String("listen", "", "address and port on which metrics are served")
	peers := flag.String("peers", "", "addresses that may read them, with commas between")
	interval := flag.Duration("interval", 15*time.Second, "longest time between two measurements of a container")
	flag.Parse()
	if err := run(*listen, *peers, *interval); err != nil {
		fmt.Fprintln(os.Stderr, "cadvisor:", err)
		os.Exit(1)
	}
}

func run(listen, peers string, interval time.Duration) error {
	may := map[netip.Addr]bool{}
	for one := range strings.SplitSeq(peers, ",") {
		address, err := netip.ParseAddr(one)
		if err != nil {
			return fmt.Errorf("-peers: %w: expected addresses with commas between", err)
		}
		may[address] = true
	}
	dynamic := true
	collector, err := manager.New(memory.New(kept, nil), sysfs.NewRealSysFs(),
		manager.HousekeepingConfig{Interval: &interval, AllowDynamic: &dynamic}, measured, nil, nil, "", 0)
	if err != nil {
		return err
	}
	if err := collector.Start(); err != nil {
		return err
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		metrics.NewPrometheusCollector(collector, labels, measured, clock.RealClock{}, model.RequestOptions{
			IdType: model.TypeName, Count: 1, Recursive: true,
		}),
		metrics.NewPrometheusMachineCollector(collector, measured),
	)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.Handle("GET /metrics", only(may, promhttp.HandlerFor(registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: 4})))
	server := &http.Server{Addr: listen, Handler: mux, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	go func() {
		<-ctx.Done()
		server.Close()
	}()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// only lets those read who may. The firewall is outside the machine and does not see what
// the machine's own pods ask it.
func only(may map[netip.Addr]bool, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil || !may[from.Addr().Unmap()] {
			http.Error(w, r.RemoteAddr+" may not read the metrics of containers: masters may", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// labels are those by which the kubelet names containers, and nobody's environment.
func labels(c *model.ContainerInfo) map[string]string {
	set := map[string]string{metrics.LabelID: c.Name, metrics.LabelImage: c.Spec.Image, metrics.LabelName: ""}
	if len(c.Aliases) > 0 {
		set[metrics.LabelName] = c.Aliases[0]
	}
	for label, from := range map[string]string{
		"container": "io.kubernetes.container.name", "pod": "io.kubernetes.pod.name", "namespace": "io.kubernetes.pod.namespace",
	} {
		set[label] = c.Spec.Labels[from]
	}
	return set
}
