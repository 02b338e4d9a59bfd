package main

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/klog/v2"
)

// TestClientLog protects commands' output from the lines of Kubernetes' client library, and that
// they are there for who asks for them.
func TestClientLog(t *testing.T) {
	defer klog.CaptureState().Restore()
	for level, want := range map[string][]string{"": nil, "0": {"warned", "lost"}, "4": {"warned", "lost", "detail"}} {
		got := stderr(t, func() {
			if err := setClientLog(level); err != nil {
				t.Fatal(err)
			}
			klog.Warning("warned")
			klog.V(4).InfoS("detail")
			utilruntime.HandleErrorWithLogger(klog.Background(), errors.New("lost"), "Error copying") // as a port-forward does
		})
		if len(want) == 0 && got != "" {
			t.Errorf("level %q: printed %q, expected nothing", level, got)
		}
		for _, word := range want {
			if !strings.Contains(got, word) {
				t.Errorf("level %q: printed %q, expected %q in it", level, got, word)
			}
		}
		if level == "0" && strings.Contains(got, "detail") {
			t.Errorf("level 0: printed %q, expected no details", got)
		}
	}
	if err := setClientLog("loud"); err == nil || !strings.Contains(err.Error(), logLevel+"=loud") {
		t.Errorf("a level that is no number: error %v, expected one that names the variable", err)
	}
}

// stderr is what a function prints to it.
func stderr(t *testing.T, f func()) string {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	before := os.Stderr
	os.Stderr = w
	defer func() { os.Stderr = before }()
	f()
	w.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
