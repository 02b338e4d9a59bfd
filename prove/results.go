package prove

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/moby/sys/atomicwriter"

	"craton.dev/craton/cluster"
	"craton.dev/craton/contract"
	"craton.dev/craton/operation"
	"craton.dev/craton/plan"
)

// Key is what results hang on: the contract with its operations, the plan, and what probes do.
func Key(p *plan.Plan) (string, error) {
	b, err := json.Marshal([]any{contract.Clauses(), contract.Operations(), p, operation.Version})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%x", sha256.Sum256(b))[:16], nil
}

// begin is a new proof, or the one of an earlier run of the same that did not come to its end.
func begin(opt Options) (*Proof, error) {
	key, err := Key(opt.Plan)
	if err != nil {
		return nil, err
	}
	fresh := &Proof{
		Kind: "Proof", Cluster: opt.Plan.Cluster, Profile: opt.Plan.Profile, Shape: shape(opt.Plan.File), Key: key, Part: opt.Part.String(),
		Began: time.Now().UTC().Truncate(time.Second), Necessary: []Necessity{},
		Sufficient: Sufficient{Operations: []Result{}, Untested: []Untried{}},
	}
	if opt.File == "" {
		return fresh, nil
	}
	old, err := Read(opt.File)
	if errors.Is(err, fs.ErrNotExist) {
		return fresh, nil
	}
	if err != nil {
		return nil, err
	}
	if old.Key != key || !old.Ended.IsZero() {
		return fresh, nil
	}
	if old.Part != fresh.Part {
		return nil, fmt.Errorf("%s holds another part of the proof (%q): name a file of its own with --results", opt.File, old.Part)
	}
	if opt.Progress != nil {
		done := slices.DeleteFunc(slices.Clone(old.Necessary), func(n Necessity) bool { return len(n.Results) == 0 })
		opt.Progress(fmt.Sprintf("going on from %s: %d clauses are done", opt.File, len(done)))
	}
	return old, nil
}

// shape is a cluster in a few words.
func shape(f *cluster.Cluster) string { return f.Shape() + ", " + f.Etcd + " etcd" }

// Read reads a file of results.
func Read(file string) (*Proof, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	p := &Proof{}
	if err := json.Unmarshal(b, p); err != nil || p.Kind != "Proof" {
		return nil, fmt.Errorf("%s: it has to be what an earlier proof has written (%v): remove it, and the proof begins anew", file, err)
	}
	return p, nil
}

// save replaces the file: it is all there, or what was there before.
func save(file string, p *Proof) error {
	if file == "" {
		return nil
	}
	b, err := json.MarshalIndent(p, "", " ")
	if err != nil {
		return err
	}
	return atomicwriter.WriteFile(file, b, 0o644)
}
