# What is done on a master whose certificates are renewed, by one of the verbs below. ROOT, in
# the environment, is before all paths that are written to; tests set it.
set -eu
ROOT=${ROOT:-}

k() { ctr --namespace k8s.io "$@"; }

# differing reads lines of "SUM  PATH" and prints the paths of files that are there with other
# contents. A machine that has never joined, which $1 tells, may still be writing them.
differing() {
	[ -e "$1" ] || return 0
	while read -r sum path; do
		[ ! -e "$path" ] || [ "$(sha256sum <"$path" | cut -d' ' -f1)" = "$sum" ] || echo "$path"
	done
}

# replace reads an archive. Nothing is replaced before all of it is on the disk. Then the
# programs are ended that read such files; the kubelet starts them again, with the new ones.
replace() {
	umask 077
	next=$ROOT/etc/kubernetes/.next
	rm -rf "$next"
	mkdir -p "$next"
	tar -x -p -C "$next" --no-same-owner
	sync -f "$next"
	(cd "$next" && find . -type f) | while read -r path; do
		mv -T "$next/$path" "$ROOT/$path"
	done
	sync -f "$ROOT/etc/kubernetes"
	rm -rf "$next"
	ids=$(k containers ls -q 'labels."io.kubernetes.pod.namespace"==kube-system,labels."io.kubernetes.container.name"~="^(etcd|kube-apiserver|kube-controller-manager|kube-scheduler|craton-operator)$"')
	for id in $ids; do k tasks kill "$id" 2>/dev/null || :; done
	# An API server whose etcd does not let it in waits for answers before it ends.
	sleep 2
	for id in $ids; do k tasks kill --signal SIGKILL "$id" 2>/dev/null || :; done
}

"$@"
