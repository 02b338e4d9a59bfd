package firstboot

import (
	"fmt"

	"craton.dev/craton/contract"
	"craton.dev/craton/plan"
)

const (
	joinScript = "/usr/local/sbin/craton-join"
	// clientCertificate is there once a machine has joined.
	clientCertificate = KubeletPKIDir + "/kubelet-client-current.pem"
)

// joinFile asks the API again and again whether it knows the machine's token, and starts
// the kubelet anew when it does, and once more when it has got its certificate. A kubelet
// that came up before its API, or registers before it has a certificate, retries after
// ever longer pauses (its certificate manager's start at 2 s and double, its registration's
// end at 7 s), so that a first boot would idle for half of its time. Nothing depends on it:
// without it a machine joins later.
func joinFile(p *plan.Plan, m *plan.Machine) File {
	host, verify := p.Network.APIServer, "-verify_hostname"
	if m.Role == contract.Master {
		host, verify = m.Address.String(), "-verify_ip"
	}
	return File{joinScript, 0o755, fmt.Appendf(nil, `#!/bin/sh
# Starts the kubelet anew as soon as the API knows this machine's token, and as soon as
# the kubelet has its certificate.
token=$(sed -n 's/^ *token: //p' %s)
while [ ! -e %s ]; do
	# printf is the shell's own: the token is in no process's arguments.
	if printf 'GET /version HTTP/1.1\r\nHost: api\r\nAuthorization: Bearer %%s\r\nConnection: close\r\n\r\n' "$token" |
		timeout 2 openssl s_client -quiet -connect %s:%d -CAfile %s \
			-verify_return_error %s %s 2>/dev/null | grep -q '^HTTP/1.1 200'; then
		systemctl restart kubelet
		break
	fi
	sleep 0.2
done
while [ ! -e %s ]; do
	sleep 0.1
done
exec systemctl restart kubelet
`, bootstrapKubeconfig, clientCertificate, host, p.Network.APIPort, KubernetesCA, verify, host, clientCertificate)}
}

var joinUnit = Unit{Name: "craton-join.service", Enabled: true, Contents: `[Unit]
Description=Join the cluster as soon as its API is there
ConditionPathExists=!` + clientCertificate + `

[Service]
ExecStart=` + joinScript + `
Restart=on-failure

[Install]
WantedBy=multi-user.target
`}
