package firstboot

import (
	"fmt"
	"strings"
)

const (
	imagesScript = "/usr/local/sbin/craton-images"
	// atOnce is how many images are got at the same time: with more, each of two processors
	// unpacks several, and the first one that is waited for comes late.
	atOnce = 4
)

// imagesFile gets the first pods' images by the way that the kubelet would ask for them a
// second later, when it has found its pods and made their sandboxes; as that one's, it is on
// the disk then, which ctr sees to only where it does the work itself. One that fails is
// left to the kubelet. The processor is what an API server that starts needs most, so that
// the rest waits for it.
func imagesFile(opt Options) File {
	var script strings.Builder
	script.WriteString("#!/bin/bash\n# Gets the images of the machine's first pods, the most urgent first.\n")
	get := func(images []string) {
		for i, image := range images {
			fmt.Fprintf(&script, "ctr --namespace=k8s.io images pull --local --sync-fs --hosts-dir=%s %s >/dev/null &\n", RegistryDir, image)
			if i%atOnce == atOnce-1 || i == len(images)-1 {
				script.WriteString("wait\n")
			}
		}
	}
	get(append([]string{opt.PauseImage}, opt.FirstImages...))
	fmt.Fprintf(&script, "%s known\n", joinScript)
	get(opt.NextImages)
	return File{imagesScript, 0o755, []byte(script.String())}
}

var imagesUnit = Unit{Name: "craton-images.service", Enabled: true, Contents: `[Unit]
Description=Images of the first pods
Wants=containerd.service
After=containerd.service
ConditionPathExists=!` + clientCertificate + `

[Service]
ExecStart=` + imagesScript + `

[Install]
WantedBy=multi-user.target
`}
