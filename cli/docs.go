package cli

import (
	"bytes"
	"os"
	"path/filepath"

	"craton.dev/craton/cluster"
	"craton.dev/craton/contract"
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
	return map[string][]byte{
		"contract.md":     page.Bytes(),
		"cluster-file.md": cluster.Reference(),
		"proof.md":        proof,
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
		proofs = append(proofs, p)
	}
	var page bytes.Buffer
	page.WriteString(`<!-- Made by "craton docs" from the results in proof/. Do not edit. -->

# What the rules are for, by experiment

"make prove" brings clusters up, tries every operation with exactly the plan's rules, takes one clause after
another out of the fabric, and looks what breaks ([verify.md](verify.md) says how). Its results are below.
`)
	if err := prove.WriteMarkdown(&page, proofs...); err != nil {
		return nil, err
	}
	return page.Bytes(), nil
}
