#!/usr/bin/env bash
# radosgw 20.2.4, Ceph's S3 server, on its single-node dbstore: a range that doesn't begin at byte 0 is answered with bytes
# from somewhere else. 206, Content-Range and Content-Length are those of the range that was asked for; what follows begins
# at byte 0 of the object, or at byte 1,024 if the range begins there or later, and goes on to the end of that part, beyond
# the length announced. A client that stops at the length has as many bytes as it wanted, the wrong ones. Whole objects,
# and ranges from byte 0 on, are right.
set -euo pipefail
work=$(mktemp -d)
# shellcheck source=findings/lib.bash
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.bash"

install_debian sid radosgw=20.2.4+ds-2 python3-botocore=1.43.117+repack-1
mkdir "$work/db" "$work/data"
cat >"$work/ceph.conf" <<EOF
[global]
log_file = $work/rgw.log
[client.rgw]
rgw_backend_store = dbstore
rgw_config_store = dbstore
dbstore_db_dir = $work/db
dbstore_config_uri = file:$work/db/config.db
rgw_data = $work/data
rgw_frontends = beast endpoint=127.0.0.1:18474
EOF
rgw=(-c "$work/ceph.conf" --no-mon-config -n client.rgw)
in_debian sid radosgw-admin "${rgw[@]}" user create --uid=u --display-name=u --access-key=AKIDEXAMPLE --secret=secretsecret >>"$log" 2>&1
in_debian sid radosgw "${rgw[@]}" -f >>"$log" 2>&1 &
server=$!
trap 'kill $server 2>/dev/null || :; wait || :; rm -rf -- "$work"' EXIT
for ((i = 0; i < 100; i++)); do
	! (exec 3<>/dev/tcp/127.0.0.1/18474) 2>/dev/null || break
	sleep 0.1
done

seen=$(
	python sid <<-'EOF'
		import http.client
		import urllib.parse
		import botocore.session
		from botocore.config import Config

		session = botocore.session.get_session()
		s3 = session.create_client(
		    "s3", endpoint_url="http://127.0.0.1:18474", region_name="us-east-1", aws_access_key_id="AKIDEXAMPLE",
		    aws_secret_access_key="secretsecret", config=Config(s3={"addressing_style": "path"},
		    request_checksum_calculation="when_required", response_checksum_validation="when_required"))
		s3.create_bucket(Bucket="models")
		# Each 8 bytes say where they are.
		data = b"".join(i.to_bytes(8, "little") for i in range(0, 8192, 8))
		s3.put_object(Bucket="models", Key="k", Body=data)
		print("whole:", "right" if s3.get_object(Bucket="models", Key="k")["Body"].read() == data else "wrong")
		url = urllib.parse.urlsplit(s3.generate_presigned_url("get_object", Params={"Bucket": "models", "Key": "k"}))
		for first, n in ((0, 16), (512, 16), (4096, 16)):
		    c = http.client.HTTPConnection(url.netloc)
		    c.connect()
		    c.sock.sendall(f"GET {url.path}?{url.query} HTTP/1.1\r\nHost: {url.netloc}\r\n"
		                   f"Range: bytes={first}-{first + n - 1}\r\nConnection: close\r\n\r\n".encode())
		    answer = b"".join(iter(lambda: c.sock.recv(65536), b""))
		    head, _, body = answer.partition(b"\r\n\r\n")
		    said = [line for line in head.decode().split("\r\n") if line.startswith(("HTTP", "Content-Length", "Content-Range"))]
		    print(f"{first}-{first + n - 1}:", *said, "| begins with byte", int.from_bytes(body[:8], "little"), "and has", len(body))
	EOF
)
expect 'radosgw 20.2.4 with dbstore, ranges of an object of 8,192 bytes' "$seen" <<'EOF'
whole: right
0-15: HTTP/1.1 206 Partial Content Content-Length: 16 Content-Range: bytes 0-15/8192 | begins with byte 0 and has 1024
512-527: HTTP/1.1 206 Partial Content Content-Length: 16 Content-Range: bytes 512-527/8192 | begins with byte 0 and has 1024
4096-4111: HTTP/1.1 206 Partial Content Content-Length: 16 Content-Range: bytes 4096-4111/8192 | begins with byte 1024 and has 7168
EOF
