package firstboot

import (
	"fmt"
	"net/netip"
	"path"
	"strings"
)

const (
	imagesScript = "/usr/local/sbin/craton-images"
	// StartDir holds static pods that a first start has not come to yet (see Step).
	StartDir = "/etc/kubernetes/start"
	// runtimeDir is where the container runtime keeps what it has, and unsynced is there
	// while some of that may not be on the disk yet.
	runtimeDir = "/var/lib/containerd"
	unsynced   = "/var/lib/craton-images-unsynced"
)

// Step is a part of a machine's first start. Steps come one after another.
type Step struct {
	// AfterAPI makes the step wait until the API knows the machine's token, and its kubelet,
	// where that was there before the API, has been started anew.
	AfterAPI bool
	// Listening is where somebody has to listen first; a zero one says nothing.
	Listening netip.AddrPort
	// Ready is who has to say first, by HTTP at /readyz, that he is ready; a zero one says nothing.
	Ready netip.AddrPort
	// Images are got then, all at once; those of an Early step with those of the step before.
	Images []string
	Early  bool
	// Pods are files for ManifestDir, put there when the images are there.
	Pods []File
}

// startFiles are the script that takes a machine through its first start, and the pods
// that it puts in their place.
//
// A kubelet that finds its pods before their images makes their sandboxes, and gets each
// image a second time beside who does it already; and programs that only wait for an API
// take the processor from the API server that starts. So each pod comes when its time has.
// Where an image cannot be got, that is left to the kubelet. A power failure on the way is
// no harm: the script begins anew as long as there are pods in StartDir.
func startFiles(opt Options) []File {
	var script strings.Builder
	script.WriteString("#!/bin/bash\n" +
		"# Gets the images of the machine's first pods, the most urgent first, and starts the pods.\n" +
		// Images are said to be there before they are on the disk: one flush for all of them is
		// at the end. See wholeUnit.
		"touch " + unsynced + " && sync -f " + unsynced + "\n" +
		"get() { timeout 120 ctr --namespace=k8s.io images pull --hosts-dir=" + RegistryDir + " \"$1\" >/dev/null; }\n" +
		// The pod is not moved twice, should the script begin anew.
		"run() { [ ! -e " + StartDir + "/\"$1\" ] || mv " + StartDir + "/\"$1\" " + ManifestDir + "/; }\n" +
		ready)
	get := func(image string, step int) {
		fmt.Fprintf(&script, "get %s &\ngot%d+=\" $!\"\n", image, step)
	}
	get(opt.PauseImage, 0) // without which no pod starts
	var files []File
	known := false
	for i, step := range opt.Start {
		if step.AfterAPI && !known {
			script.WriteString(joinScript + " known\n")
			known = true
		}
		if step.Listening.IsValid() {
			fmt.Fprintf(&script, "until (: </dev/tcp/%s/%d) 2>/dev/null; do sleep 0.1; done\n", step.Listening.Addr(), step.Listening.Port())
		}
		if step.Ready.IsValid() {
			fmt.Fprintf(&script, "until ready %s %d 2>/dev/null; do sleep 0.2; done\n", step.Ready.Addr(), step.Ready.Port())
		}
		for at := i; at < len(opt.Start) && (at > i) == opt.Start[at].Early; at++ {
			for _, image := range opt.Start[at].Images {
				get(image, at)
			}
		}
		fmt.Fprintf(&script, "wait $got%d\n", i) // where there is nothing to wait for, for all
		for _, pod := range step.Pods {
			name := path.Base(pod.Path)
			fmt.Fprintf(&script, "run %s\n", name)
			files = append(files, File{path.Join(StartDir, name), pod.Mode, pod.Contents})
		}
	}
	fmt.Fprintf(&script, "wait\nsync -f %s && rm %s\n", runtimeDir, unsynced)
	return append(files, File{imagesScript, 0o755, []byte(script.String())})
}

var imagesUnit = Unit{Name: "craton-images.service", Enabled: true, Contents: `[Unit]
Description=Images of the first pods
Wants=containerd.service
After=containerd.service
ConditionPathExists=|!` + clientCertificate + `
ConditionDirectoryNotEmpty=|` + StartDir + `
ConditionPathExists=|` + unsynced + `

[Service]
ExecStart=` + imagesScript + `

[Install]
WantedBy=multi-user.target
`}

// wholeUnit lets the container runtime begin with nothing where the machine went off before
// what it had got was on the disk: programs of such images would be empty files for ever.
// It is done once a boot, before the runtime's first start, and not at its later ones.
var wholeUnit = Unit{Name: "craton-images-whole.service", Enabled: true, Contents: `[Unit]
Description=Images that are whole
Before=containerd.service
ConditionPathExists=` + unsynced + `

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/bin/find ` + runtimeDir + ` -mindepth 1 -delete

[Install]
WantedBy=multi-user.target
`}
