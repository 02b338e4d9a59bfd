// Package part is what a component of the platform that runs on Kubernetes is made of: a
// Part, one package of values below this folder, and the pieces of objects that parts have
// in common.
//
// What a part is for, by which field of the cluster file it is chosen and which clauses it
// uses stands in package contract; versions, sources and images stand in package payload.
// A part names both and adds its objects and the checks that show it works. It is pure, and
// talks to nobody: package bootstrap applies objects and asks the checks. All parts are
// listed in package render/parts.
package part

import (
	"k8s.io/apimachinery/pkg/runtime"

	"craton.dev/craton/contract"
	"craton.dev/craton/pki"
	"craton.dev/craton/plan"
)

// Part is one component of the platform.
type Part struct {
	// Name is the component's in the contract.
	Name string
	// Payload names the components of the payload that it runs.
	Payload []string
	// Objects are its objects on Kubernetes, in the order in which they are applied.
	Objects func(Input) ([]runtime.Object, error)
	// Checks are what shows that it works; nil where its pods' own readiness does.
	Checks func(*plan.Plan) ([]Check, error)
}

// Input is what objects are made from.
type Input struct {
	Plan    *plan.Plan
	Secrets *pki.Secrets
	Images  Images
}

// Images gives the full name of a component's image, for instance for "kube-apiserver".
type Images func(component string) string

// Check is a question over HTTP whose answer shows that a part works.
type Check struct {
	// Sentence says what is so where it passes.
	Sentence string
	// From is who asks: the user network, or a role's machines, of which the first asks.
	From contract.Peer
	// URL is what is asked. A name in it is one of the plan's names, and https is verified
	// by the cluster's authority.
	URL string
	// Operation is the contract's operation that is tried by asking; "" for none.
	Operation string
	// Status is the status of the answer, and Contains is in its body.
	Status   int
	Contains string
}
