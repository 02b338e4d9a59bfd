# What `craton recover` does on a master. It comes by the machine's console, with one of the
# verbs below, and what the machine should know in the environment:
#   DIR     etcd's folder: the data are in $DIR/data, and whatever is moved aside is beside them
#   WORK    a folder in DIR for this recovery
#   ETCD    the image of etcd, and OPERATOR that of craton's own programs
#   STAMP   when the recovery began, for names
# Nothing here deletes data, or writes to them where they are.
set -eu

# k works with the containers that the kubelet has made.
k() { ctr --namespace k8s.io "$@"; }

fail() { echo "$*" >&2; exit 1; }

# image makes sure that an image is there: a kubelet pulls etcd's only once its pod is ready
# to start.
image() {
	[ -n "$(k images ls -q "name==$1")" ] || k images pull --hosts-dir /etc/containerd/certs.d "$1" >/dev/null
}

# awake waits until a machine that was just started can be worked with.
awake() {
	n=0
	until k version >/dev/null 2>&1 && systemctl is-active --quiet kubelet; do
		n=$((n + 1))
		[ $n -lt 600 ] || fail "containerd and the kubelet do not run after a minute"
		sleep 0.1
	done
}

# halt ends the kubelet, and then the control plane that it would start again. What else
# runs on the machine goes on.
halt() {
	systemctl stop kubelet
	pods='labels."io.kubernetes.pod.namespace"==kube-system,labels."io.kubernetes.pod.name"~="^(etcd|kube-apiserver|kube-controller-manager|kube-scheduler|craton-operator|craton-checkpointer)-"'
	n=0
	while :; do
		running=$(k tasks ls | awk '$3 == "RUNNING" { print $1 }')
		left=$(for id in $(k containers ls -q "$pods"); do echo "$running" | grep -Fx "$id" || :; done)
		[ -n "$left" ] || break
		n=$((n + 1))
		[ $n -lt 100 ] || fail "these containers of the control plane do not end: $left"
		for id in $left; do k tasks kill --signal SIGKILL "$id" 2>/dev/null || :; done
		sleep 0.1
	done
}

# aside moves the data away, and says where to.
aside() {
	[ -e "$DIR/data" ] || return 0
	to=$DIR/data.before-recovery-$STAMP
	n=1
	while [ -e "$to" ]; do
		n=$((n + 1))
		to=$DIR/data.before-recovery-$STAMP.$n
	done
	mv -T "$DIR/data" "$to"
	sync -f "$DIR"
	echo "aside $to"
}

# extract makes a snapshot of the data of a member that has lost the others for good. A copy of
# them becomes a cluster of one, out of reach of all networks, so that what is in the log but not yet in
# the database is in the snapshot as well.
extract() {
	if ! ls "$DIR"/data/member/wal/*.wal >/dev/null 2>&1; then
		fail "there is no member's data in $DIR/data; beside it are: $(cd "$DIR" && ls -d data* 2>/dev/null | tr '\n' ' '); move the right one there, and recover again"
	fi
	id=craton-extract-$STAMP
	mkdir -p -m 700 "$WORK"
	trap 'k tasks kill --signal SIGKILL "$id"; k tasks delete --force "$id"; k containers delete "$id"; rm -rf "$WORK/copy"' EXIT
	exec 3>&2 2>/dev/null # what the trap says is no news
	rm -rf "$WORK/copy"
	cp -a --reflink=auto "$DIR/data" "$WORK/copy" 2>&3
	image "$ETCD" 2>&3
	image "$OPERATOR" 2>&3
	# The member may not know yet of what it has that it was acknowledged.
	k run --rm --mount "type=bind,src=$WORK,dst=/work,options=rbind:rw" "$OPERATOR" "craton-commit-$STAMP" \
		/usr/local/bin/craton-operator commit-etcd-log --data-dir=/work/copy 2>&3 >/dev/null
	k run --detach --log-uri "file://$WORK/etcd.log" --mount "type=bind,src=$WORK,dst=/work,options=rbind:rw" "$ETCD" "$id" \
		/usr/local/bin/etcd --data-dir=/work/copy --force-new-cluster --listen-peer-urls="http://127.0.0.1:$1" \
		--listen-client-urls="http://127.0.0.1:$2" --advertise-client-urls="http://127.0.0.1:$2" 2>&3
	n=0
	until k tasks exec --exec-id "health-$n" "$id" /usr/local/bin/etcdctl --endpoints="http://127.0.0.1:$2" endpoint health >/dev/null; do
		n=$((n + 1))
		if [ $n -ge 60 ]; then
			tail -n 3 "$WORK/etcd.log" >&3
			fail "etcd does not start on a copy of the data in $DIR/data" 2>&3
		fi
		sleep 1
	done
	rm -f "$WORK/snapshot.db"
	k tasks exec --exec-id save "$id" /usr/local/bin/etcdctl --endpoints="http://127.0.0.1:$2" snapshot save /work/snapshot.db >/dev/null 2>&3
}

# build makes a member's data of the snapshot, beside those that are there. Revisions go on that far above
# the snapshot's, and all before is marked as gone: whoever watches has to read anew.
build() {
	for old in "$DIR"/recovery-*; do # of recoveries that were killed: copies, all of them
		[ "$old" = "$WORK" ] || rm -rf "$old"
	done
	rm -rf "$WORK/data"
	image "$ETCD"
	k run --rm --mount "type=bind,src=$WORK,dst=/work,options=rbind:rw" "$ETCD" "craton-build-$STAMP" \
		/usr/local/bin/etcdutl snapshot restore /work/snapshot.db --data-dir=/work/data --name="$1" \
		--initial-cluster="$1=$2" --initial-advertise-peer-urls="$2" --initial-cluster-token="$3" \
		--bump-revision="$4" --mark-compacted
	[ -d "$WORK/data/member/wal" ] || fail "etcdutl made no data of the snapshot"
	chmod 700 "$WORK/data"
}

# use puts the new data in the place of the old ones. What leads is to start without waiting
# for anybody: the checkpointer takes the stand-ins away again.
use() {
	sync -f "$WORK"
	aside
	mv -T "$WORK/data" "$DIR/data"
	sync -f "$DIR"
	rm -rf "$WORK"
	for component in etcd kube-apiserver kube-controller-manager kube-scheduler; do
		if [ -e "$2/$component.yaml" ]; then
			cp -p "$2/$component.yaml" "$1/.$component.new"
			mv "$1/.$component.new" "$1/$component.yaml"
		fi
	done
}

drop() { rm -rf "$WORK"; }

resume() { systemctl start kubelet; }

verb=$1
shift
"$verb" "$@" </dev/null # this text itself comes by the standard input
