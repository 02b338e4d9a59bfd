#!/bin/sh
# Makes unpacked Debian packages into what the image "busybox" of the end-to-end suite is.
# $1 is its root.
set -eu
root=$1
# A link for each of busybox's programs.
chroot "$root" /bin/busybox --install -s /bin
# Busybox's shell keeps what it does not take for a variable's name, such as "data-1", from the programs
# that it starts; the suite's tests read such ones.
ln -sf bash "$root/bin/sh"
printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n' >"$root/etc/passwd"
printf 'root:x:0:\nnogroup:x:65534:\n' >"$root/etc/group"
