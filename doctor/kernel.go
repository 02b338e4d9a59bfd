package doctor

import (
	"context"
	"slices"
	"strings"
)

// kernel asks for what the embedded platform's network and disks are made of.
func kernel(ctx context.Context, h Host) Result {
	if !filesystem(h, "overlay") {
		return failed("modprobe overlay, or use a kernel with CONFIG_OVERLAY_FS",
			"The kernel has no overlay file system, of which machines' disks are made.")
	}
	if h.UID() != 0 {
		return warning("run craton doctor with sudo", "Overlay is there; the rest of the kernel can only be checked by root.")
	}
	for _, f := range []struct{ feature, config, use string }{
		{featureVeth, "CONFIG_VETH", "the cables between machines"},
		{featureVXLAN, "CONFIG_VXLAN", "the pod network between machines"},
	} {
		if err := h.Probe(f.feature); err != nil {
			return failed("modprobe "+f.feature+", or use a kernel with "+f.config,
				"The kernel has no %s (%s): %v.", f.feature, f.use, err)
		}
	}
	if result, bad := nftables(ctx, h); bad {
		return result
	}
	return ok("Overlay, veth, VXLAN and nftables are there.")
}

func filesystem(h Host, name string) bool {
	for _, line := range h.lines("/proc/filesystems") {
		if slices.Contains(strings.Fields(line), name) {
			return true
		}
	}
	return false
}

// nftables lists nothing: it fails exactly where the kernel or the rights are missing. That
// nft itself is missing is the check of the programs.
func nftables(ctx context.Context, h Host) (Result, bool) {
	nft, err := h.LookPath("nft")
	if err != nil {
		return Result{}, false
	}
	if _, err := h.Run(ctx, nft, "list", "tables"); err != nil {
		return failed("modprobe nf_tables, or use a kernel with CONFIG_NF_TABLES",
			"The kernel does not answer nft, so that no rule can be enforced: %v.", err), true
	}
	return Result{}, false
}

// namespaces is apart from the kernel's features: containers often forbid what the kernel has.
func namespaces(_ context.Context, h Host) Result {
	if h.UID() != 0 {
		return warning("run craton doctor with sudo", "Namespaces can only be checked by root.")
	}
	if err := h.Probe(featureNetns); err != nil {
		return failed("run craton on the host itself, or in a container with CAP_SYS_ADMIN and CAP_NET_ADMIN", "%s.", sentence(err.Error()))
	}
	return ok("Network namespaces can be made.")
}

// sentence starts with a capital letter.
func sentence(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
