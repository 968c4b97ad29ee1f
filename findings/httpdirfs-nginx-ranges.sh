#!/usr/bin/env bash
# httpdirfs 1.2.5, a file system over HTTP listings, ends at the first read of a file that nginx 1.22.1 serves, and says
# that the server doesn't support range requests. nginx does: it answers 206 with Content-Range. httpdirfs asks for
# Accept-Ranges in each 206 as well, which no RFC requires there and which nginx sends with a 200 only. With
# --no-range-check the bytes are right.
set -euo pipefail
work=$(mktemp -d)
# shellcheck source=findings/lib.bash
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.bash"

[[ -c /dev/fuse ]] || die 'needs FUSE'
command -v fusermount >/dev/null || die 'needs fusermount'
install_debian bookworm httpdirfs=1.2.5-1 nginx-light
mkdir "$work/files" "$work/mnt" "$work/logs"
head -c 100000 /dev/zero | tr '\0' x >"$work/files/weights.bin"
chmod -R a+rX "$work"
cat >"$work/nginx.conf" <<EOF
daemon off; error_log $work/logs/error; pid $work/pid;
events { }
http {
	access_log off;
	client_body_temp_path $work/logs; proxy_temp_path $work/logs; fastcgi_temp_path $work/logs;
	uwsgi_temp_path $work/logs; scgi_temp_path $work/logs;
	server { listen 127.0.0.1:18473; root $work/files; autoindex on; }
}
EOF
in_debian bookworm ../sbin/nginx -p "$work" -c "$work/nginx.conf" >>"$log" 2>&1 &
nginx=$!
trap 'fusermount -uz "$work/mnt" 2>/dev/null || :; kill $nginx 2>/dev/null || :; wait || :; rm -rf -- "$work"' EXIT
url=http://127.0.0.1:18473
for ((i = 0; i < 50; i++)); do
	! curl -sf "$url/" >/dev/null || break
	sleep 0.1
done

# mounted OPTION...: what a read of 4 bytes through a mount gives, and what httpdirfs has said of ranges.
mounted() {
	local pid
	in_debian bookworm httpdirfs -f "$@" "$url/" "$work/mnt" >"$work/said" 2>&1 &
	pid=$!
	for ((i = 0; i < 50; i++)); do
		! mountpoint -q "$work/mnt" || break
		sleep 0.1
	done
	head -c 4 "$work/mnt/weights.bin" 2>/dev/null || printf 'an error'
	printf ', httpdirfs '
	for ((i = 0; i < 20; i++)); do
		ls "$work/mnt" >/dev/null 2>&1 || break
		sleep 0.1
	done
	ls "$work/mnt" >/dev/null 2>&1 && printf 'goes on' || printf 'has ended'
	! grep -q 'not support HTTP range requests' "$work/said" || printf ': does not support HTTP range requests'
	echo
	fusermount -uz "$work/mnt" 2>/dev/null || :
	wait "$pid" || :
}

seen=$(
	curl -s -r 0-3 -D - -o /dev/null "$url/weights.bin" | tr -d '\r' | grep -E '^(HTTP|Server|Content-Range|Accept-Ranges)'
	mounted
	mounted --no-range-check
)
expect 'nginx 1.22.1 of 4 bytes; httpdirfs 1.2.5 of the same, and with --no-range-check' "$seen" <<'EOF'
HTTP/1.1 206 Partial Content
Server: nginx/1.22.1
Content-Range: bytes 0-3/100000
an error, httpdirfs has ended: does not support HTTP range requests
xxxx, httpdirfs goes on
EOF
