// Package machines brings machines into being and reaches them. It holds the one small
// interface that every platform implements; the platforms are its sub-packages.
//
// It decides nothing: which machines, which addresses and which rules come from the plan.
package machines

import (
	"context"
	"io"
	"net"
	"time"

	"craton.dev/craton/plan"
)

// Platform is a place where machines run.
type Platform interface {
	// Prepare makes the surroundings of the plan's machines (network and its rules,
	// names, registry, load balancer) what the plan says, whatever they were before.
	// It is idempotent and applies changes to what runs.
	Prepare(ctx context.Context, p *plan.Plan) error
	// Facts are what the machines' first-boot configuration has to know of the platform.
	Facts(ctx context.Context) (Facts, error)
	// Start makes the machine where there is none, with its first-boot configuration
	// (Ignition or cloud-init, as the plan's file says), and boots it where it is off.
	Start(ctx context.Context, machine plan.Machine, firstBoot []byte) error
	// PowerOff stops a machine at once, as pulling its plug does; its disk stays.
	PowerOff(ctx context.Context, name string) error
	// Remove powers a machine off and deletes its disk.
	Remove(ctx context.Context, name string) error
	// Exec runs a command on a machine as root, by the machine's console.
	Exec(ctx context.Context, name string, argv []string, in io.Reader, out, err io.Writer) error
	// Dial connects from the user network.
	Dial(ctx context.Context, network, address string) (net.Conn, error)
	// States lists the machines that exist, sorted by name.
	States(ctx context.Context) ([]State, error)
	// Destroy removes all machines and the surroundings.
	Destroy(ctx context.Context) error
}

// Facts are what a platform's machines have to be told of it.
type Facts struct {
	// RegistryCA is the PEM of the authority that signs the platform's registries. It is
	// empty where machines trust them already.
	RegistryCA []byte
	// NoSysResource says that root on the machines lacks CAP_SYS_RESOURCE, so that nothing
	// there can lower a process's OOM score.
	NoSysResource bool
}

// State is how a machine is.
type State struct {
	Name    string `json:"name"`
	Running bool   `json:"running"`
	// Since is when it was started; the zero time where it does not run.
	Since time.Time `json:"since,omitzero"`
	// Detail is a sentence where something is wrong.
	Detail string `json:"detail,omitempty"`
}
