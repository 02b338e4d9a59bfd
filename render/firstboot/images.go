package firstboot

import (
	"fmt"
	"strings"

	"craton.dev/craton/contract"
	"craton.dev/craton/plan"
)

const (
	imagesScript = "/usr/local/sbin/craton-images"
	// atOnce is how many images are got at the same time: with more, each of two processors
	// unpacks several, and the first one that is waited for comes late.
	atOnce = 3
)

// imagesFile gets the first pods' images by the way that the kubelet would ask for them a
// second later, when it has found its pods and made their sandboxes. One that fails is
// left to the kubelet.
func imagesFile(opt Options) File {
	script := "#!/bin/bash\n# Gets the images of the machine's first pods, the most urgent first.\n"
	images := append([]string{opt.PauseImage}, opt.FirstImages...)
	for i, image := range images {
		script += fmt.Sprintf("ctr --namespace=k8s.io images pull --hosts-dir=%s %s >/dev/null &\n", registryDir, image)
		if i%atOnce == atOnce-1 || i == len(images)-1 {
			script += "wait\n"
		}
	}
	return File{imagesScript, 0o755, []byte(script)}
}

// imagesUnit leaves the processor of a machine without an API server to what others need
// until there is an API, by which its own pods come.
func imagesUnit(m *plan.Machine) Unit {
	var wait string
	if m.Role != contract.Master {
		wait = "TimeoutStartSec=infinity\nExecStartPre=" + joinScript + " known\n"
	}
	return Unit{Name: "craton-images.service", Enabled: true, Contents: strings.ReplaceAll(`[Unit]
Description=Images of the first pods
Wants=containerd.service
After=containerd.service
ConditionPathExists=!`+clientCertificate+`

[Service]
WAIT`+"ExecStart="+imagesScript+`

[Install]
WantedBy=multi-user.target
`, "WAIT", wait)}
}
