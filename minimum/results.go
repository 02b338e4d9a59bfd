package minimum

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/moby/sys/atomicwriter"

	"craton.dev/craton/cluster"
	"craton.dev/craton/contract"
	"craton.dev/craton/operation"
	"craton.dev/craton/plan"
)

// Results are what a measurement has shown so far.
type Results struct {
	Kind    string `json:"kind"`
	Shape   string `json:"shape"`
	Profile string `json:"profile"`
	// Components are what ran besides Kubernetes' own, as in the plan.
	Components []string `json:"components"`
	// Key is what results hang on: the plan without sizes, and the operations.
	Key    string  `json:"key"`
	Least  []Least `json:"least"`
	Trials []Trial `json:"trials"`
}

// Least is the least of a resource with which every operation works.
type Least struct {
	Role     contract.Role `json:"role"`
	Resource Resource      `json:"resource"`
	// Value is 0 where nothing that was tried is enough.
	Value int `json:"value"`
	// Below is what happens with less, in the words of the trial; "" where less was not tried.
	Below string `json:"below"`
}

// Trial is one cluster whose machines of one role had so much of one resource. Without a role it is
// the reference: nothing is held to anything.
type Trial struct {
	Role     contract.Role `json:"role,omitempty"`
	Resource Resource      `json:"resource,omitempty"`
	Value    int           `json:"value,omitempty"`
	OK       bool          `json:"ok"`
	// Failure is what did not work.
	Failure string `json:"failure,omitempty"`
	// Up and Operations are how long the cluster took to come up, and its operations, in seconds.
	Up         float64   `json:"up"`
	Operations float64   `json:"operations"`
	Began      time.Time `json:"began"`
}

func (t Trial) String() string {
	if t.Role == "" {
		return "machines as large as the host"
	}
	return fmt.Sprintf("a %s's %s at %d %s", t.Role, t.Resource, t.Value, t.Resource.unit())
}

// begin are the results of an earlier run of the same, or new ones.
func begin(file *cluster.Cluster, path string) (*Results, error) {
	same := *file
	same.Name, same.Sizes = "minimum", nil // what it is called is no matter, nor what is held to what
	p, err := plan.Make(&same)
	if err != nil {
		return nil, err
	}
	b, err := json.Marshal([]any{p, contract.Operations(), operation.Version})
	if err != nil {
		return nil, err
	}
	fresh := &Results{
		Kind: "Minimum", Shape: p.File.Shape(), Profile: p.Profile, Components: p.Components,
		Key: fmt.Sprintf("%x", sha256.Sum256(b))[:16], Least: []Least{}, Trials: []Trial{},
	}
	old, err := Read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fresh, nil
	}
	if err != nil {
		return nil, err
	}
	if old.Key != fresh.Key {
		return fresh, nil
	}
	return old, nil
}

// Read reads a file of results.
func Read(path string) (*Results, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return parse(path, b)
}

func parse(path string, b []byte) (*Results, error) {
	r := &Results{}
	if err := json.Unmarshal(b, r); err != nil || r.Kind != "Minimum" {
		return nil, fmt.Errorf("%s: it has to be what an earlier measurement has written (%v): remove it, and the measurement begins anew", path, err)
	}
	return r, nil
}

// save replaces the file: all of it is there, or what was there before.
func (r *Results) save(path string) error {
	b, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	return atomicwriter.WriteFile(path, append(b, '\n'), 0o644)
}

// works tells whether a trial without a value, or any with one, has worked.
func (r *Results) works(role contract.Role, resource Resource) bool {
	return slices.ContainsFunc(r.Trials, func(t Trial) bool { return t.Role == role && t.Resource == resource && t.OK })
}

// tried are the values that were tried of a resource, and whether all worked.
func (r *Results) tried(role contract.Role, resource Resource) map[int]bool {
	tried := map[int]bool{}
	for _, t := range r.Trials {
		if t.Role == role && t.Resource == resource {
			tried[t.Value] = tried[t.Value] || t.OK
		}
	}
	return tried
}

// tooLittle is the trial with the most of a resource that was not enough, nil where there is none. One above
// a value that was enough is bad luck.
func (r *Results) tooLittle(role contract.Role, resource Resource) *Trial {
	enough := r.enough(role, resource)
	var most *Trial
	for i, t := range r.Trials {
		if t.Role == role && t.Resource == resource && !t.OK && (enough == 0 || t.Value < enough) && (most == nil || t.Value > most.Value) {
			most = &r.Trials[i]
		}
	}
	return most
}

// enough is the least that was seen to be enough of a resource; 0 where nothing was.
func (r *Results) enough(role contract.Role, resource Resource) int {
	least := 0
	for value, ok := range r.tried(role, resource) {
		if ok && (least == 0 || value < least) {
			least = value
		}
	}
	return least
}

// found notes the least of a resource.
func (r *Results) found(role contract.Role, resource Resource, value int) {
	least := Least{Role: role, Resource: resource, Value: value}
	if t := r.tooLittle(role, resource); t != nil {
		least.Below = fmt.Sprintf("%d: %s", t.Value, t.Failure)
	}
	r.Least = slices.DeleteFunc(r.Least, func(l Least) bool { return l.Role == role && l.Resource == resource })
	r.Least = append(r.Least, least)
}

// stopped says of each search that has not come to its end how far it got, a sentence each.
func (r *Results) stopped() []string {
	var sentences []string
	var seen []question
	for _, t := range r.Trials {
		q := question{t.Role, t.Resource}
		if t.Role == "" || slices.Contains(seen, q) || slices.ContainsFunc(r.Least, func(l Least) bool { return l.Role == q.role && l.Resource == q.resource }) {
			continue
		}
		seen = append(seen, q)
		s := fmt.Sprintf("The search for the least %s of a %s was stopped:", q.resource, q.role)
		if enough := r.enough(q.role, q.resource); enough > 0 {
			s += fmt.Sprintf(" %d %s are enough,", enough, q.resource.unit())
		}
		if less := r.tooLittle(q.role, q.resource); less != nil {
			s += fmt.Sprintf(" %d are not,", less.Value)
		}
		sentences = append(sentences, strings.TrimSuffix(s, ",")+".")
	}
	return sentences
}
