// Package checkpoint lets a self-hosted control plane come back by itself: on each master
// it keeps on disk the least that is needed to run the control plane's pods again, runs
// them from there (as stand-ins) while the real ones cannot do their job, and takes them
// away when the real ones can.
//
// What to do is decided in one pure function, decide, from a state; tracker makes that of
// what was looked at and of when. The rest carries it out: standIn turns a pod of the API
// into one that the kubelet can run without the API, disk keeps it so that a crash at any
// point leaves the old or the new one, Run is the loop.
//
// It makes no pod in the API, changes nothing there, and decides nothing about other
// machines: each master looks after itself. It keeps no key that belongs to a machine;
// those are files of the machine, which a checkpoint refers to.
package checkpoint

// kind says what it means that a component does its job.
type kind int

const (
	// serving: one on each master serves there. The API server.
	serving kind = iota
	// leading: those of the whole cluster elect one by a lease; that one acts.
	leading
	// storing: one on each master keeps data there, which no two can have at once. A
	// self-hosted etcd.
	storing
)

func (k kind) String() string { return [...]string{"serving", "leading", "storing"}[k] }

// namespace is where the control plane's pods and leases are.
const namespace = "kube-system"

// What tells the pods of a component from others, as package manifests writes them: both a
// real pod and a stand-in have componentLabel, with the component's name; a stand-in's
// standInLabel is "true", a real pod's is not.
const (
	componentLabel = "component"
	standInLabel   = "craton.dev/stand-in"
	standInSuffix  = "-stand-in"
)

// Where a component listens is a variable of its container, and where its stand-in is to
// listen is another one. The two are apart, so that whoever asks, as the kubelet does to
// find out what hangs, hears from one of them and not from the other.
const (
	addressEnv        = "ADDRESS"
	standInAddressEnv = "STAND_IN_ADDRESS"
)

// realServer is where a machine's real API server is asked: it listens on all addresses, a
// stand-in on another one.
const realServer = "127.0.0.1"

// uninitialized is the taint with which every kubelet registers its Node: till it is gone,
// the Node does not have its labels yet.
const uninitialized = "craton.dev/uninitialized"

// component is a part of the control plane. Its name is also that of its container, of its
// files and, where it is leading, of its lease.
type component struct {
	Name string
	Kind kind
	// Data is, of one that is storing, a path that is there once the machine has data. Before
	// that there is nothing to come back with.
	Data string
}

// components are those that every checkpointer looks after.
func components() []component {
	return []component{
		{Name: "kube-apiserver", Kind: serving},
		{Name: "kube-controller-manager", Kind: leading},
		{Name: "kube-scheduler", Kind: leading},
	}
}

// etcdComponent is a self-hosted etcd whose data are there.
func etcdComponent(data string) component { return component{Name: "etcd", Kind: storing, Data: data} }
