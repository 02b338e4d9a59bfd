package local

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"craton.dev/craton/contract"
)

// The cluster's namespaces are known by their names alone, so before the first is made it
// is looked whether somebody else has one of them; from then on they are the cluster's. A
// file says so, which is made between the two: killed anywhere, nothing of others is taken
// for ours, and nothing of ours for others'.

func (p *Platform) claimFile() string { return p.path("run", "names") }

// claimed tells whether the namespaces with the cluster's names are the cluster's. Where
// anything has ever been started they are: clusters of before the file have a log.
func (p *Platform) claimed() bool {
	for _, f := range []string{p.claimFile(), p.path("log")} {
		if _, err := os.Stat(f); err == nil {
			return true
		}
	}
	return false
}

// claim makes the names the cluster's.
func (p *Platform) claim() error {
	if err := p.Foreign(); err != nil || p.claimed() {
		return err
	}
	return writeFile(p.claimFile(), []byte("the network namespaces of "+p.Cluster+" are this cluster's\n"), 0o600)
}

// Foreign refuses to go on where somebody else's network namespace has a name that the
// cluster needs.
func (p *Platform) Foreign() error {
	if p.claimed() {
		return nil
	}
	var found []string
	for _, name := range p.namespacesThere() {
		if full := p.namespace(name); isNamespace(filepath.Join(netnsDir, full)) {
			found = append(found, full)
		}
	}
	if len(found) == 0 {
		return nil
	}
	return fmt.Errorf("network namespace %s is there already and cluster %s has not made it: remove it with `ip netns delete %s` if nobody needs it, or give the cluster another name",
		strings.Join(found, ", "), p.Cluster, strings.Join(found, " && ip netns delete "))
}

// namespacesThere are those of the cluster's namespaces, surroundings first, whose name is
// in use on this host.
func (p *Platform) namespacesThere() []string {
	var names []string
	for _, name := range []string{userNS, outsideNS, balancer, fabricNS} {
		if _, err := os.Lstat(filepath.Join(netnsDir, p.namespace(name))); err == nil {
			names = append(names, name)
		}
	}
	for _, role := range []contract.Role{contract.Master, contract.Infra, contract.Worker} {
		prefix := p.namespace(string(role)) + "-"
		found, _ := filepath.Glob(filepath.Join(netnsDir, prefix+"*"))
		for _, f := range found {
			if _, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(f), prefix)); err == nil {
				names = append(names, strings.TrimPrefix(filepath.Base(f), "craton-"))
			}
		}
	}
	return names
}

// removeNetwork removes the namespaces of the surroundings, and those of machines that
// were planned and never started; machines take theirs along. What is not the cluster's
// stays.
func (p *Platform) removeNetwork() error {
	if !p.claimed() {
		return nil
	}
	var errs []error
	for _, name := range p.namespacesThere() {
		errs = append(errs, p.removeNamespace(name))
	}
	os.Remove(netnsDir) // only where it is empty
	return errors.Join(errs...)
}
