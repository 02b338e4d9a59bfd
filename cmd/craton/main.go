// Command craton builds and keeps Kubernetes clusters from a platform document. It is a
// stub: package cli holds the verbs.
package main

import (
	"os"

	"craton.dev/craton/cli"
)

func main() { os.Exit(cli.Main()) }
