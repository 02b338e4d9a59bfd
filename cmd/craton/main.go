// Command craton builds and keeps Kubernetes clusters from a platform document. It is a
// stub: package cli holds the verbs.
package main

import (
	"fmt"
	"os"

	"craton.dev/craton/cli"
)

func main() {
	if err := setClientLog(os.Getenv(logLevel)); err != nil {
		fmt.Fprintln(os.Stderr, "craton:", err)
		os.Exit(2) // as for any wrong usage
	}
	os.Exit(cli.Main())
}
