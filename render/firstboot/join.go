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
	// tokenKnown is there while the machine joins, once the API knows its token.
	tokenKnown = "/run/craton-known"
	// givenCertificate is where a machine has the certificate that it need not ask for, until its API is there.
	givenCertificate = "/etc/kubernetes/kubelet-client.pem"
)

// joinFile asks the API again and again whether it knows the machine's token, and starts
// the kubelet anew once it has got its certificate. A kubelet that came up before its API,
// or registers before it has a certificate, retries after ever longer pauses (its
// certificate manager's start at 2 s and double, its registration's end at 7 s), so that a
// first boot would idle for half of its time. A master's kubelet has to run before there is
// an API, and is started anew when there is; others wait with their first start.
//
// The machine that a cluster begins with has its first certificate already: the kubelet gets it once the
// API is ready, with the one start that it needs then. To ask for one it would have to wait for the controller manager,
// which signs, and the operator, which approves, and they for the kubelet's start before that.
//
// A kubelet that is ended while it makes a pod leaves a cgroup of which the container runtime
// knows nothing, and for that its next start waits for six seconds. So static pods that wait for
// an API come after that start, and not before it (see Step).
//
// Where the certificate cannot be put in its place, say on a full disk, the kubelet runs on without it, and the unit
// tries again for as long as it takes.
func joinFile(p *plan.Plan, m *plan.Machine, opt Options) File {
	host, verify := p.Network.APIServer, "-verify_hostname"
	if m.Role == contract.Master && !opt.Joins {
		host, verify = m.Address.String(), "-verify_ip"
	}
	return File{joinScript, 0o755, fmt.Appendf(nil, `#!/bin/bash
# craton-join          joins the cluster: starts the kubelet anew when it is of use
# craton-join known    waits until the API knows this machine's token
certificate=%s
known=%s
if [ "$1" = known ]; then
	until [ -e $certificate ] || [ -e $known ]; do
		sleep 0.1
	done
	exit
fi
%s%sgiven=%s
if [ -e $given ]; then
	path=/readyz header=
else
	path=/version header="Authorization: Bearer $(sed -n 's/^ *token: //p' %s)"$'\r\n'
fi
# A connection costs less than a program that makes one.
until [ -e $certificate ] || { (: </dev/tcp/%s/%d) 2>/dev/null && answers 2 %[7]s:%[8]d $path %s %[7]s; }; do
	sleep 0.2
done
if [ -e $given ]; then
	systemctl stop kubelet
	mkdir -p ${certificate%%/*} && ln -sf ${given##*/} $certificate && mv $given ${certificate%%/*}
	installed=$?
	systemctl start kubelet
	exit $installed
fi
%[10]stouch $known
until [ -e $certificate ]; do
	sleep 0.1
done
systemctl restart kubelet
`, clientCertificate, tokenKnown, answers, joinsAfter(opt), givenCertificate, bootstrapKubeconfig,
		host, p.Network.APIPort, verify, restartKnown(m))}
}

// joinsAfter are the lines by which a machine waits before it joins.
func joinsAfter(opt Options) string {
	if !opt.JoinsAfter.IsValid() {
		return ""
	}
	return ready + fmt.Sprintf("until [ -e $certificate ] || ready %s %d 2>/dev/null; do sleep 0.2; done\n", opt.JoinsAfter.Addr(), opt.JoinsAfter.Port())
}

// restartKnown is the line by which a master's kubelet is started anew.
func restartKnown(m *plan.Machine) string {
	if m.Role == contract.Master {
		return "systemctl restart kubelet\n"
	}
	return ""
}

var joinUnit = Unit{Name: "craton-join.service", Enabled: true, Contents: `[Unit]
Description=Join the cluster as soon as its API is there
ConditionPathExists=!` + clientCertificate + `

[Service]
ExecStart=` + joinScript + `
ExecStopPost=/bin/rm -f ` + tokenKnown + `
Restart=on-failure
RestartSec=5

[Install]
WantedBy=multi-user.target
`}
