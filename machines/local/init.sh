#!/bin/sh
# The machine's first process: what an initramfs does on a machine of metal. It applies
# the first-boot configuration once, then becomes systemd.
set -eu

say() { echo "craton: $*"; }

# Kernel settings that a kubelet writes are the host's, not the machine's. The machine
# gets files of its own in their place, so that nothing outside it changes.
mkdir -p /run/craton/sys
for s in vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops kernel/keys/root_maxkeys kernel/keys/root_maxbytes; do
	f=/run/craton/sys/$(echo $s | tr / _)
	cat /proc/sys/$s >$f 2>/dev/null || continue
	mount --bind $f /proc/sys/$s
done

# On cgroup v1 the hierarchies come read-only; this machine's part of them is its own.
for c in /sys/fs/cgroup /sys/fs/cgroup/*; do
	mountpoint -q $c && mount -o remount,rw,bind $c || true
done

# The kernel's messages are the host's: they stay out of the machine's journal.
mkdir -p /run/systemd/journald.conf.d
printf '[Journal]\nReadKMsg=no\n' >/run/systemd/journald.conf.d/craton.conf

config=/usr/lib/craton/first-boot/config.ign
if [ -e $config ]; then
	say "applying the Ignition configuration"
	echo uninitialized >/etc/machine-id # then systemd takes this for the first boot, and presets units
	mkdir -p /run/ignition
	# Stages without work are left out: each costs a start of the program.
	stages="fetch-offline fetch"
	if grep -qE '"(disks|raid|filesystems|luks|kernelArguments)"' $config; then
		stages="$stages kargs disks mount"
	fi
	for stage in $stages files; do
		if [ $stage = fetch ] && [ -e /run/ignition/config.json ]; then
			continue # nothing had to be fetched
		fi
		IGNITION_CONFIG_FILE=$config /usr/lib/craton/ignition --platform=file --root=/ \
			--config-cache=/run/ignition/config.json --stage=$stage >>/var/log/ignition.log 2>&1 || {
			tail -n 5 /var/log/ignition.log
			say "Ignition's stage $stage failed: the machine does not boot; see /var/log/ignition.log on it"
			exit 1
		}
	done
	rm $config /run/ignition/config.json
fi

say "starting systemd"
exec /lib/systemd/systemd "$@"
