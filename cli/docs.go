package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"craton.dev/craton/cluster"
	"craton.dev/craton/contract"
	"craton.dev/craton/minimum"
	"craton.dev/craton/plan"
	"craton.dev/craton/prove"
	"github.com/spf13/cobra"
)

func docsCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:    "docs",
		Hidden: true, // for those who work on craton
		Short:  "Write the generated pages of docs/",
		Long: `Write the pages of docs/ that are made from craton itself: the contract and the reference
of the cluster file. A test fails where they are not current.`,
		Example: `  craton docs --dir docs`,
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			pages, err := generatedPages(dir)
			if err != nil {
				return err
			}
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return err
			}
			for name, text := range pages {
				if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "docs", "the folder of the pages")
	return cmd
}

// generatedPages are the pages of a folder of docs that nobody writes by hand, by file name. That
// of proofs is made from the results that lie in it.
func generatedPages(dir string) (map[string][]byte, error) {
	var page bytes.Buffer
	page.WriteString(`<!-- Made by "craton docs" from package contract. Do not edit. -->

# The contract

The platform document as craton understands it, one row a clause. "line" is the clause's line in
the document; "filled in" names what that line leaves open and craton chose, always the narrowest
value that serves the purpose. The statements are made from the clauses' fields: they are not the
document's sentences. "craton explain CLAUSE" tells what a clause opens in one cluster and what stops
without it.

`)
	if err := writeContractMarkdown(&page, contract.Clauses()); err != nil {
		return nil, err
	}
	proof, err := proofPage(filepath.Join(dir, "proof"))
	if err != nil {
		return nil, err
	}
	smallest, err := minimumPage()
	if err != nil {
		return nil, err
	}
	return map[string][]byte{
		"contract.md":     page.Bytes(),
		"cluster-file.md": cluster.Reference(),
		"proof.md":        proof,
		"minimum.md":      smallest,
	}, nil
}

// proofPage is the page of the proofs whose results are in a folder.
func proofPage(dir string) ([]byte, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, err
	}
	var proofs []*prove.Proof
	for _, file := range files {
		p, err := prove.Read(file)
		if err != nil {
			return nil, err
		}
		if p.Plan, p.Past, err = today(p, strings.TrimSuffix(file, ".json")+".yaml"); err != nil {
			return nil, err
		}
		proofs = append(proofs, p)
	}
	var page bytes.Buffer
	page.WriteString(`<!-- Made by "craton docs" from the results in proof/. Do not edit. -->

# What the rules are for, by experiment

"make prove" brings clusters up, tries every operation with exactly the plan's rules, takes one clause after
another out of the fabric, and looks what breaks ([verify.md](verify.md) says how). Its results are below.
`)
	untried, err := waiting(dir)
	if err != nil {
		return nil, err
	}
	if len(untried) > 0 {
		fmt.Fprintf(&page, "\nNot tried yet: %s.\n", strings.Join(untried, ", "))
	}
	if err := prove.WriteMarkdown(&page, proofs...); err != nil {
		return nil, err
	}
	return page.Bytes(), nil
}

// today is the plan of a proof's file as it is now, and whether the proof is of another contract, plan or operations.
func today(p *prove.Proof, file string) (settled *plan.Plan, past bool, err error) {
	c, err := cluster.Load(file)
	if err != nil {
		return nil, false, err
	}
	past = true
	for _, planOf := range []func(*cluster.Cluster) (*plan.Plan, error){plan.Make, plan.Settled} {
		if settled, err = planOf(c); err != nil {
			return nil, false, err
		}
		key, err := prove.Key(settled)
		if err != nil {
			return nil, false, err
		}
		past = past && key != p.Key
	}
	return settled, past, nil
}

// waiting are the files of a folder that are there to be tried, and have no results.
func waiting(dir string) (names []string, err error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	for _, file := range files {
		if _, statErr := os.Stat(strings.TrimSuffix(file, ".yaml") + ".json"); errors.Is(statErr, fs.ErrNotExist) {
			names = append(names, filepath.Base(file))
		}
	}
	return names, err
}

// minimumPage is the page of what the smallest machines are.
func minimumPage() ([]byte, error) {
	var page bytes.Buffer
	page.WriteString(`<!-- Made by "craton docs" from the results in minimum/measured. Do not edit. -->

# The smallest cluster

"make minimum" measures how small machines can be ("craton minimum" does so for a cluster file of yours). Each trial is a
cluster of its own, whose machines of one role are held to so much of one resource: memory and processor time by their
cgroups, the disk by its size. It has to come up within 150 seconds, every operation of the contract that can be tried
([verify.md](verify.md)) has to work within its time, and the kernel may not end a program for want of memory. Only
one resource of one role is scarce at a time.

- Memory is all that the machine's programs use, with the pages of its own disk, the pods of the probes among them. The
  kernel itself comes on top, and 100 MiB that a kubelet keeps free on a machine that sees its memory: these machines see
  the host's.
- Processor time is of this host's two processors; on others it is another figure.
- The disk holds the operating system, images and logs of a cluster that is some minutes old.
- Nothing of it is a recommendation: users' pods, growth and failures need more.
`)
	results, err := minimum.Measured()
	if err != nil {
		return nil, err
	}
	if err := minimum.WriteMarkdown(&page, results...); err != nil {
		return nil, err
	}
	page.WriteString(`
## What others ask for

Requirements that others publish, with room for what users run unless it says "measured": they are no like for like
with the table above. What they leave open is empty.

`)
	if err := minimum.WritePeers(&page); err != nil {
		return nil, err
	}
	page.WriteString(`
## The smallest set of ports

What a cluster of one master and one worker without options opens. The minimal profile is what its components have been
shown to need ([proof.md](proof.md)): without any of it a named operation breaks.

`)
	if err := minimum.WritePorts(&page); err != nil {
		return nil, err
	}
	return page.Bytes(), nil
}
