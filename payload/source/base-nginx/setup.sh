#!/bin/sh
# Makes unpacked Debian packages into what the image "nginx" of the end-to-end suite is: one
# page, with the names of upstream's image.
# $1 is its root.
set -eu
root=$1
cat >"$root/etc/nginx/nginx.conf" <<'END'
user nobody nogroup;
worker_processes 1;
pid /tmp/nginx.pid;
error_log stderr notice;
events { worker_connections 1024; }
http {
	include mime.types;
	access_log /dev/stdout;
	client_body_temp_path /tmp/client;
	proxy_temp_path /tmp/proxy;
	fastcgi_temp_path /tmp/fastcgi;
	uwsgi_temp_path /tmp/uwsgi;
	scgi_temp_path /tmp/scgi;
	server {
		listen 80;
		location / { root /usr/share/nginx/html; }
	}
}
END
rm -rf "$root"/usr/share/man "$root"/usr/share/locale "$root"/usr/share/info "$root/etc/passwd" "$root/etc/group"
find "$root/usr/share/doc" -type f ! -name copyright -delete
mkdir -p "$root/var/log/nginx" "$root/var/lib/nginx"
