// Package cli is craton's command line: one file a verb, each a short list of calls into
// the packages that do the work, and the printing of what they return.
//
// It decides nothing that a test of another package could check: what to open, to render
// or to build is decided in contract, plan, render, bootstrap and the like. Nothing may
// import it but the main package.
package cli
