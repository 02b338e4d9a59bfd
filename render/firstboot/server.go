package firstboot

import (
	"fmt"
	"net/netip"

	"craton.dev/craton/plan"
)

// serverScript is on masters.
const serverScript = "/usr/local/sbin/craton-server"

// serverFile says which API server a master's kubelet asks. Where another one answers when the machine
// boots, that is the API's name: the kubelet gets its own API server's pod from there, and no stand-in has to
// be started first. Once the machine's own API server is ready the kubelet turns to it, so that a
// master depends on no load balancer; and some time after that, since a kubelet that is ended while it makes a pod is
// slow to begin again.
func serverFile(p *plan.Plan, m *plan.Machine) File {
	return File{serverScript, 0o755, fmt.Appendf(nil, `#!/bin/bash
# craton-server choose   before the kubelet starts: the API's name, if an API server answers there
# craton-server turn     this machine's own API server, when it is ready
kubeconfig=%s
own=%s
name=%s
%sready() { answers 1 "$1" /readyz "$2" "$3"; }
named() { ready %s:%d -verify_hostname %[5]s; }
asks() { grep -q "server: $1\$" $kubeconfig; }
ask() { asks "$1" || sed -i "s|server: .*|server: $1|" $kubeconfig; }
if [ "$1" = choose ]; then
	if named; then ask $name; else ask $own; fi
	exit
fi
until [ -e $kubeconfig ]; do
	sleep 1
done
asks $own && exit
until ready %[7]s -verify_ip %[8]s; do
	sleep 2
done
for _ in 1 2 3 4; do
	named || break
	sleep 5
done
ask $own && systemctl restart kubelet
`, KubeletKubeconfig, apiURL(p, m), namedAPI(p), answers, p.Network.APIServer, p.Network.APIPort,
		netip.AddrPortFrom(m.Address, p.Network.APIPort), m.Address)}
}

// serverUnits run the script at each boot: it chooses where the machine has joined already.
var serverUnits = []Unit{
	{Name: "craton-server-choose.service", Enabled: true, Contents: `[Unit]
Description=The API server that the kubelet asks at first
Before=kubelet.service craton-server-turn.service
ConditionPathExists=` + KubeletKubeconfig + `

[Service]
Type=oneshot
ExecStart=` + serverScript + ` choose

[Install]
WantedBy=multi-user.target
`},
	{Name: "craton-server-turn.service", Enabled: true, Contents: `[Unit]
Description=The kubelet turns to the API server of its machine

[Service]
ExecStart=` + serverScript + ` turn
Restart=on-failure
RestartSec=5

[Install]
WantedBy=multi-user.target
`},
}
