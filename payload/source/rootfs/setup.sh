#!/bin/sh
# Makes a freshly unpacked Debian into the machine image that all machines share.
# $1 is its root. What differs from machine to machine is the first-boot
# configuration's job; the image holds no identity: no machine id, no host keys.
set -eu
root=$1
inside() { chroot "$root" "$@"; }

# First boot applies presets to every unit, and Debian's default is "enable". Only what
# a machine needs is on; Ignition's own preset (20-…) comes before this one.
mkdir -p "$root/etc/systemd/system-preset"
cat >"$root/etc/systemd/system-preset/50-craton.preset" <<'END'
enable ssh.service
enable craton-host-keys.service
enable cloud-init-local.service
enable cloud-init.service
enable cloud-config.service
enable cloud-final.service
disable *
END

# A machine has no disks, consoles or clock of its own to look after, and its network
# is there before it boots. What waits for those would only delay the boot. Nor are there
# seats, or passwords to ask for: the services for those hold inotify instances, of which
# all machines of a host have only so many together.
inside systemctl mask --quiet \
	apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
	e2scrub_reap.service fstrim.timer logrotate.timer \
	networking.service ifupdown-pre.service ifupdown-wait-online.service \
	systemd-networkd.service systemd-networkd.socket systemd-networkd-wait-online.service \
	systemd-resolved.service systemd-timesyncd.service \
	systemd-udevd.service systemd-udev-trigger.service systemd-udev-settle.service \
	systemd-udevd-control.socket systemd-udevd-kernel.socket \
	systemd-random-seed.service systemd-hwdb-update.service systemd-pstore.service \
	systemd-firstboot.service systemd-logind.service \
	systemd-ask-password-console.path systemd-ask-password-wall.path \
	getty.target getty-static.service console-getty.service container-getty@.service \
	keyboard-setup.service console-setup.service cloud-init-hotplugd.socket \
	sys-kernel-debug.mount sys-kernel-tracing.mount dev-hugepages.mount \
	runc.service rsync.service ssh.socket
inside systemctl set-default --quiet multi-user.target

cat >"$root/etc/systemd/system/craton-host-keys.service" <<'END'
[Unit]
Description=Host key of the SSH server, made on first boot
ConditionPathExists=!/etc/ssh/ssh_host_ed25519_key
Before=ssh.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/bin/ssh-keygen -q -t ed25519 -N "" -f /etc/ssh/ssh_host_ed25519_key

[Install]
WantedBy=multi-user.target
END
inside systemctl enable --quiet craton-host-keys.service ssh.service
mkdir -p "$root/etc/ssh/sshd_config.d"
cat >"$root/etc/ssh/sshd_config.d/craton.conf" <<'END'
HostKey /etc/ssh/ssh_host_ed25519_key
PasswordAuthentication no
PermitRootLogin no
UseDNS no
END

# The journal stays in memory: machines are made and thrown away.
mkdir -p "$root/etc/systemd/journald.conf.d"
cat >"$root/etc/systemd/journald.conf.d/craton.conf" <<'END'
[Journal]
Storage=volatile
RuntimeMaxUse=32M
ForwardToSyslog=no
END

# cloud-init reads a seed on the machine's own disk and does what a first-boot
# configuration can ask for, without a search for clouds and without the network.
cat >"$root/etc/cloud/cloud.cfg.d/90-craton.cfg" <<'END'
datasource_list: [NoCloud, None]
network: {config: disabled}
disable_root: true
ssh_deletekeys: false
ssh_genkeytypes: []
apt_preserve_sources_list: true
cloud_init_modules: [bootcmd, write-files, set_hostname, update_hostname, update_etc_hosts, users-groups, ssh]
cloud_config_modules: [runcmd]
cloud_final_modules: [scripts-user, final-message]
END
printf 'policy: search,found=all,maybe=all,notfound=disabled\ndatasource: NoCloud\n' >"$root/etc/cloud/ds-identify.cfg"

inside useradd --create-home --shell /bin/bash --groups sudo core
printf 'core ALL=(ALL) NOPASSWD:ALL\n' >"$root/etc/sudoers.d/core"
chmod 0440 "$root/etc/sudoers.d/core"

mkdir -p "$root/opt/cni/bin" "$root/etc/kubernetes" "$root/usr/lib/craton" "$root/var/lib/containerd"

# No identity, no traces of how the image was made.
# "uninitialized", not an empty file: only with it does systemd take the next boot for the
# first one and apply the presets by which Ignition enables units.
printf 'uninitialized\n' >"$root/etc/machine-id"
: >"$root/etc/resolv.conf"
printf '127.0.0.1 localhost\n' >"$root/etc/hosts"
: >"$root/etc/fstab"
rm -f "$root/etc/hostname" "$root"/etc/ssh/ssh_host_* "$root/var/lib/dbus/machine-id" "$root/var/cache/ldconfig/aux-cache"
rm -f "$root"/etc/passwd- "$root"/etc/group- "$root"/etc/shadow- "$root"/etc/gshadow- "$root"/etc/subuid- "$root"/etc/subgid-
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/* "$root"/var/cache/debconf/*-old "$root"/var/lib/dpkg/*-old
find "$root/var/log" -type f -delete
rm -rf "$root"/tmp/* "$root"/var/tmp/* "$root"/run/*
