// Package cadvisor is where the source of the cAdvisor is that workers run: main.go, which
// package payload builds with the module graph beside it. Nothing of it is part of craton's
// own programs.
package cadvisor
