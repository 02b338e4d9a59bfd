package doctor

import (
	"context"
	"strings"
)

// program is something that has to be installed.
type program struct{ name, debian, use string }

// running are the programs that a cluster needs while it runs.
var running = []program{
	{"systemd-nspawn", "systemd-container", "boots machines"},
	{"nft", "nftables", "loads the firewall"},
	{"haproxy", "haproxy", "is the load balancer"},
	{"mount", "mount", "mounts machines' disks"},
}

// building are those that are needed until the payload has been built.
var building = []program{
	{"go", "golang", "builds Kubernetes"},
	{"gcc", "gcc", "builds the first-boot program"},
	{"mmdebstrap", "mmdebstrap", "makes the machines' image"},
}

func programs(_ context.Context, h Host) Result {
	missing := absent(h, running)
	if len(missing) > 0 {
		return missingPrograms(failed, missing)
	}
	return ok("All programs that run clusters are there: %s.", names(running))
}

func buildPrograms(_ context.Context, h Host) Result {
	missing := absent(h, building)
	if len(missing) > 0 {
		return missingPrograms(failed, missing)
	}
	return ok("All programs that build the payload are there: %s.", names(building))
}

func missingPrograms(verdict func(next, format string, args ...any) Result, missing []program) Result {
	var packages, what []string
	for _, p := range missing {
		if p.name == "go" {
			// Debian's is too old.
			packages = append(packages, "Go 1.26 or later")
			what = append(what, "go ("+p.use+")")
			continue
		}
		packages = append(packages, p.debian)
		what = append(what, p.name+" ("+p.use+")")
	}
	return verdict(install(packages), "Missing: %s.", strings.Join(what, ", "))
}

// install is the command for Debian's packages, and a sentence for what Debian has not.
func install(packages []string) string {
	var debian, other []string
	for _, p := range packages {
		if strings.Contains(p, " ") {
			other = append(other, "install "+p)
		} else {
			debian = append(debian, p)
		}
	}
	if len(debian) > 0 {
		other = append([]string{"apt-get install " + strings.Join(debian, " ")}, other...)
	}
	return strings.Join(other, "; ")
}

func absent(h Host, all []program) []program {
	var missing []program
	for _, p := range all {
		if _, err := h.LookPath(p.name); err != nil {
			missing = append(missing, p)
		}
	}
	return missing
}

func names(all []program) string {
	out := make([]string, len(all))
	for i, p := range all {
		out[i] = p.name
	}
	return strings.Join(out, ", ")
}
