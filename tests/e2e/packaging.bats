#!/usr/bin/env bats
# What is in packaging/, as far as it can be tried without the systems that it is for.
load helpers

@test "Grafana's dashboard asks for metrics that there are, and for the most telling of them" {
	mkmodel --bytes 16K
	start "$model" "$mnt"
	sed -n 's/^\(tensorfs_[a-z_]*\){.*/\1/p' "$mnt/.tensorfs/metrics" | sort -u >"$T/there"
	grep -o 'tensorfs_[a-z_]*' "$top/packaging/grafana/tensorfs.json" | sort -u >"$T/asked"
	[[ $(wc -l <"$T/asked") -gt 20 ]]
	run comm -13 "$T/there" "$T/asked"
	[[ -z $output ]] || fail "$output"
	jq -e '[.panels[].id] | length == (unique | length)' "$top/packaging/grafana/tensorfs.json"
}

@test "versions of packages are that of the program" {
	version=$("$TENSORFS" --version)
	version=${version#tensorfs }
	grep -qx "pkgver=$version" "$top/packaging/PKGBUILD"
	grep -qx "Version:  *$version" "$top/packaging/tensorfs.spec"
	grep -qx "  version = \"$version\";" "$top/packaging/tensorfs.nix"
	[[ $(head -n 1 "$top/debian/changelog") = "tensorfs ($version) "* ]]
	[[ $(head -n 1 "$top/NEWS") = "tensorfs $version"* ]]
}

@test "what is installed is the program's own: no libfuse" {
	build=$(dirname "$TENSORFS")
	[[ -d $build/meson-info ]] || skip "optional: not in a build directory"
	meson introspect --installed "$build" | jq -r '.[]' >"$T/installed"
	grep -q '/bin/tensorfs$' "$T/installed"
	run grep -E '/include/|/pkgconfig/|[.](a|so[.0-9]*)$' "$T/installed"
	[[ -z $output ]] || fail "$output"
}
