package contract

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Check tells everything that is wrong with clauses taken together: each must be well
// formed by itself and ids must be unique. It returns nil or all errors joined.
func Check(clauses []Clause) error {
	var errs []error
	seen := map[string]bool{}
	for _, c := range clauses {
		if seen[c.ID] {
			errs = append(errs, fmt.Errorf("clause %s: there are two with this id; give one another name", c.ID))
		}
		seen[c.ID] = true
		errs = append(errs, c.check()...)
	}
	return errors.Join(errs...)
}

func (c Clause) check() (errs []error) {
	wrong := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("clause "+c.ID+": "+format, args...))
	}
	prefix := string(c.Role) + "." + string(c.Kind) + "."
	if !strings.HasPrefix(c.ID, prefix) || c.ID == prefix {
		wrong("expected an id that starts with %s and ends in a name", prefix)
	}
	if !slices.Contains(Roles(), c.Role) {
		wrong("unknown role %q", c.Role)
	}
	if !slices.Contains(Levels(), c.Level) {
		wrong("unknown level %q", c.Level)
	}
	if !slices.Contains([]Kind{DNS, Count, Ingress, Egress, Access, Machine}, c.Kind) {
		wrong("unknown kind %q", c.Kind)
	}
	if c.Purpose == "" {
		wrong("it has no purpose")
	}
	switch c.Origin {
	case Document:
		if c.Line < 1 || c.Reason != "" {
			wrong("expected the document's line and no reason")
		}
	case Derived:
		if c.Line != 0 || len(c.Inferred) > 0 {
			wrong("expected no line of the document, and nothing inferred from one")
		}
		if !strings.Contains(c.Reason, "without") {
			wrong("expected a reason that says what breaks without it")
		}
	default:
		wrong("unknown origin %q", c.Origin)
	}
	traffic := c.Kind == Ingress || c.Kind == Egress
	for _, field := range []struct {
		name         string
		length       int
		wanted, only bool
	}{
		{"protocols", len(c.Protocols), traffic, true},
		{"ports", len(c.Ports), traffic, true},
		{"peers", len(c.Peers), traffic, true},
		{"counts", len(c.Counts), c.Kind == Count, true},
		{"names", len(c.Names), c.Kind == DNS, true},
		{"labels", len(c.Labels), c.Kind == Machine, false},
		{"taints", len(c.Taints), c.Kind == Machine, false},
	} {
		if field.length > 0 && !field.wanted {
			wrong("%s are not for %s clauses", field.name, c.Kind)
		}
		if field.length == 0 && field.wanted && field.only {
			wrong("a %s clause needs %s", c.Kind, field.name)
		}
	}
	for _, r := range c.Ports {
		if _, err := r.MarshalText(); err != nil {
			wrong("%v", err)
		}
	}
	for _, p := range c.Protocols {
		if p != TCP && p != UDP && p != Any {
			wrong("unknown protocol %q", p)
		}
	}
	if repeats(c.Protocols) || repeats(c.Ports) || repeats(c.Peers) || repeats(c.Labels) || repeats(c.Inferred) {
		wrong("a list names something twice")
	}
	return errs
}

func repeats[T comparable](list []T) bool {
	for i, item := range list {
		if slices.Contains(list[:i], item) {
			return true
		}
	}
	return false
}
