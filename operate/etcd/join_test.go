package etcd

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	"sigs.k8s.io/yaml"

	"craton.dev/craton/golden"
)

// joinOptions are for a machine on which nothing is yet.
func joinOptions(t *testing.T) Options {
	t.Helper()
	files := certificates(t, t.TempDir())
	dir := t.TempDir()
	return Options{
		Cluster: "demo", Name: "demo-master-1", PeerURL: "https://10.0.0.1:2380", First: true,
		DataDir: filepath.Join(dir, "etcd", "data"), Out: filepath.Join(dir, "etcd.yaml"),
		TLS: files, Log: logr.Discard(), Every: 10 * time.Millisecond,
		Server: Server{ClientURL: "https://10.0.0.1:2379", MetricsURL: "http://127.0.0.1:2381", CA: "/pki/ca.crt", Cert: "/pki/server.crt", Key: "/pki/server.key", PeerCert: "/pki/peer.crt", PeerKey: "/pki/peer.key"},
	}
}

// tryJoin ends a Join that says for what it waits: no time is long enough on a busy host.
func tryJoin(t *testing.T, o Options) (Result, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	o.Log = funcr.New(func(_, line string) {
		if strings.Contains(line, notJoined) {
			cancel()
		}
	}, funcr.Options{})
	return Join(ctx, o)
}

// TestStartAlone protects from a second cluster: only a first machine that never had one
// starts alone, and only where no other takes connections. It is the table of what Join
// says about it.
func TestStartAlone(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	nobody := "https://" + freePort(t)
	somebody := "https://" + listener.Addr().String()
	for _, test := range []struct {
		name      string
		first     bool
		marker    string
		prepared  string
		endpoints []string
		want      How
		fails     string
	}{
		{name: "the first of one", first: true, want: Alone},
		{name: "the first, the others are not up", first: true, endpoints: []string{nobody}, want: Alone},
		{name: "not the first, nobody to ask", fails: "is not to start the cluster"},
		{name: "not the first, nobody answers", endpoints: []string{nobody}, fails: "no other master's etcd answers yet"},
		{name: "the first, but somebody listens", first: true, endpoints: []string{nobody, somebody}, fails: somebody + " takes connections, so there is a cluster"},
		{name: "there was one, the data are gone", first: true, marker: `{"cluster":"abc","since":"2026-01-02T03:04:05Z"}`, fails: "a cluster here since 2026-01-02T03:04:05Z"},
		{name: "there was one, and nobody answers", first: true, marker: `{"cluster":"abc"}`, endpoints: []string{nobody}, fails: "starts no second one"},
		{name: "it was to be started, the data are gone", first: true, marker: `{}`, fails: "starts no second one"},
		{name: "a mark that cannot be read", first: true, marker: "\x00", fails: "starts no second one"},
		{name: "killed after the note", first: true, prepared: toStart, want: Alone},
		{name: "killed after the mark", first: true, prepared: toStart, marker: `{}`, want: Alone},
		{name: "killed after the note, told otherwise since", prepared: toStart, marker: `{}`, fails: "is not to start the cluster"},
		{name: "it has seen a cluster since the note", first: true, prepared: toStart, marker: `{"cluster":"abc"}`, fails: "starts no second one"},
		{name: "it was about to join", first: true, prepared: toJoin, fails: "starts no second one"},
		{name: "it was about to join one", first: true, prepared: toJoin, marker: `{"cluster":"abc"}`, fails: "starts no second one"},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := joinOptions(t)
			o.First, o.Endpoints = test.first, test.endpoints
			d := data{o.DataDir}
			if test.prepared != "" {
				if err := d.prepare(test.prepared); err != nil {
					t.Fatal(err)
				}
			}
			if test.marker != "" {
				if err := os.MkdirAll(filepath.Dir(d.dir), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(d.markerPath(), []byte(test.marker), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			r, err := tryJoin(t, o)
			if test.fails != "" {
				if err == nil || !strings.Contains(err.Error(), test.fails) {
					t.Errorf("%+v, error %v, want one with %q", r, err, test.fails)
				}
				if _, err := os.Stat(o.Out); err == nil {
					t.Error("it wrote a configuration all the same")
				}
				return
			}
			if err != nil || r.How != test.want {
				t.Fatalf("%+v, error %v, want %s", r, err, test.want)
			}
			if marked, err := d.marked(); marked == nil || err != nil {
				t.Errorf("there is no mark of the cluster that it starts: %v", err)
			}
		})
	}
}

// TestUnfinishedFirstStart protects a machine that lost its power within the first moments
// of the cluster: etcd cannot go on with a log in which not even its own membership is
// committed. And it protects a log in which something is.
func TestUnfinishedFirstStart(t *testing.T) {
	for _, test := range []struct {
		name    string
		records [][]byte
		want    How
	}{
		{"nothing committed", [][]byte{crcRecord, ourRecord, anEntry}, Alone},
		{"committed", [][]byte{crcRecord, ourRecord, anEntry, withCommit}, Stayed},
	} {
		d := logOf(t, test.records...)
		if err := d.prepare(toStart); err != nil {
			t.Fatal(err)
		}
		if err := d.mark("", time.Now()); err != nil {
			t.Fatal(err)
		}
		o := joinOptions(t)
		o.DataDir = d.dir
		r, err := tryJoin(t, o)
		if err != nil || r.How != test.want {
			t.Errorf("%s: %+v %v, want %s", test.name, r, err, test.want)
		}
		left, _ := filepath.Glob(d.dir + ".unfinished-*/wal/*.wal")
		if moved := len(left) == 1; moved != (test.want == Alone) {
			t.Errorf("%s: the log is moved aside: %t", test.name, moved)
		}
		if marked, err := d.marked(); test.want == Stayed && (err != nil || marked == nil || marked.Cluster != "def") {
			t.Errorf("%s: the mark is %+v %v, want the data's cluster", test.name, marked, err)
		}
		if what, _ := d.prepared(); test.want == Stayed && what != "" {
			t.Errorf("%s: the note stays: without the log, the machine would start a second cluster", test.name)
		}
	}
}

// TestConfiguration protects the file that etcd gets: TLS on both sides, and a token that
// no other start alone has. Its meaning is tried on the real etcd.
func TestConfiguration(t *testing.T) {
	tokens := map[string]bool{}
	for range 3 {
		o := joinOptions(t)
		o.DataDir = filepath.Join(t.TempDir(), "data")
		if _, err := tryJoin(t, o); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(o.Out)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(o.Out); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v %v, want mode 0600", info.Mode(), err)
		}
		var c config
		if err := yaml.UnmarshalStrict(got, &c); err != nil {
			t.Fatal(err)
		}
		if tokens[c.InitialClusterToken] || len(c.InitialClusterToken) < len("demo-")+16 {
			t.Errorf("token %q: want another one each time", c.InitialClusterToken)
		}
		tokens[c.InitialClusterToken] = true
		text := strings.NewReplacer(c.InitialClusterToken, "TOKEN", o.DataDir, "DATADIR").Replace(string(got))
		golden.Check(t, "first.yaml", text)
	}
}

// TestOptions protects that a wrong option is named, before anything is changed.
func TestOptions(t *testing.T) {
	for _, test := range []struct {
		change func(*Options)
		want   string
	}{
		{func(o *Options) { o.Name = "" }, "Name is empty"},
		{func(o *Options) { o.DataDir = "" }, "DataDir is empty"},
		{func(o *Options) { o.PeerURL = "10.0.0.1:2380" }, `"10.0.0.1:2380": expected https://ADDRESS:PORT`},
		{func(o *Options) { o.Endpoints = []string{"http://10.0.0.2:2379"} }, `"http://10.0.0.2:2379": expected https`},
		{func(o *Options) { o.TLS.CA += "-none" }, "etcd's authority: open "},
		{func(o *Options) { o.TLS.CA = o.TLS.Key }, "holds no certificate"},
		{func(o *Options) { o.TLS.Cert = o.TLS.CA }, "etcd's client certificate "},
	} {
		o := joinOptions(t)
		test.change(&o)
		if _, err := tryJoin(t, o); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("error %v, want one with %q", err, test.want)
		}
		if entries, _ := filepath.Glob(filepath.Join(filepath.Dir(o.Out), "*")); len(entries) != 0 {
			t.Errorf("%s: it changed something: %q", test.want, entries)
		}
	}
}
