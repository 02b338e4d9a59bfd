#!/bin/sh
# Makes unpacked Debian packages into what lies below the programs of the image "agnhost" of
# the end-to-end suite: what its tests run in a shell there.
# $1 is its root, $2 the folder of Kubernetes' sources.
set -eu
root=$1
source=$2
agnhost=$source/test/images/agnhost
ln -s nc.openbsd "$root/bin/nc" # which alternatives would do, if packages were installed
ln -s bash "$root/bin/sh"       # busybox's would take its own nc before this one
# Where no package has a program of that name, it is busybox's.
for program in $(chroot "$root" /bin/busybox --list); do
	for dir in bin sbin usr/bin usr/sbin; do
		[ ! -e "$root/$dir/$program" ] || continue 2
	done
	ln -s busybox "$root/bin/$program"
done
cat >"$root/etc/passwd" <<'END'
root:x:0:0:root:/root:/bin/sh
nobody:x:65534:65534:nobody:/:/bin/false
user-defined-in-image:x:1000:1000::/:/bin/sh
END
cat >"$root/etc/group" <<'END'
root:x:0:
user-defined-in-image:x:1000:
group-defined-in-image:x:50000:user-defined-in-image
nogroup:x:65534:
END
mkdir -p "$root/uploads"
cp "$agnhost/porter/localhost.crt" "$agnhost/porter/localhost.key" "$root/"
# The suite names the programs by where upstream's image has them.
for program in agnhost coredns; do
	ln -s "usr/local/bin/$program" "$root/$program"
done
ln -s agnhost "$root/agnhost-2"
# What nobody reads there.
rm -rf "$root"/usr/share/man "$root"/usr/share/locale "$root"/usr/share/info
find "$root/usr/share/doc" -type f ! -name copyright -delete
