// Temporary: fills the cache.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"craton.dev/craton/payload"
)

func main() {
	s := time.Now()
	var want []string
	if len(os.Args) > 1 {
		want = os.Args[1:]
	}
	p, err := payload.Build(context.Background(), payload.Options{Want: want, Progress: func(e payload.Event) {
		fmt.Printf("%6.1f %s %s %.1f\n", time.Since(s).Seconds(), e.Component, e.State, e.Seconds)
	}})
	fmt.Println(time.Since(s), p, err)
}
