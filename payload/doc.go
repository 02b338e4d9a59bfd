// Package payload turns pinned upstream sources into what a cluster runs: the machine
// image, the programs on machines, the images in the registry and the few programs that
// the host needs. Everything is built once into a cache outside the work tree, keyed by
// what it is made from; a second Build finds it all and builds nothing.
//
// It is the one place for versions and image names. It does not know of clusters, plans
// or machines, and starts nothing that stays: serving the registry is the platform's job.
// Of ours it may import package command.
package payload
