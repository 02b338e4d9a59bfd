package main

import (
	"flag"
	"fmt"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
)

// logLevel is the environment variable that asks for the log of Kubernetes' client library: klog's
// verbosity, from 0 for warnings and errors to 10 for whole requests.
const logLevel = "CRATON_KLOG"

// setClientLog keeps the log of Kubernetes' client library to itself, unless a level asks for it on
// stderr. Its errors are ours as well, which say what to do; its own lines would stand between those
// of a command's progress.
func setClientLog(level string) error {
	if level == "" {
		klog.SetLogger(logr.Discard())
		return nil
	}
	flags := flag.NewFlagSet("klog", flag.ContinueOnError)
	klog.InitFlags(flags)
	if err := flags.Set("v", level); err != nil {
		return fmt.Errorf("%s=%s: expected a level of klog, a number from 0 to 10: %w", logLevel, level, err)
	}
	klog.ClearLogger()
	return nil
}
