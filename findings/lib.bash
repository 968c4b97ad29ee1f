# shellcheck shell=bash
# shellcheck disable=SC2154 # work is the finding's
# Sourced by the findings, which run under `set -euo pipefail`. Packages go into $work, a temporary directory of theirs, which goes
# away at exit.

trap 'rm -rf -- "$work"' EXIT
log=$work/log

die() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

# install_npm PACKAGE@VERSION...: into $work/npm, where `js` finds them.
install_npm() {
	local tool
	for tool in node npm; do
		command -v "$tool" >/dev/null || die "needs $tool"
	done
	npm install --prefix "$work/npm" --no-audit --no-fund --ignore-scripts --loglevel=error "$@" >>"$log" 2>&1 ||
		die "npm could not install $*: $(tail -n 3 "$log")"
}

# js: runs the module on standard input, whose argument is $work.
js() {
	cat >"$work/npm/finding.mjs"
	node --no-warnings "$work/npm/finding.mjs" "$work"
}

# The mirrors that this machine takes Debian itself from.
# shellcheck disable=SC2016 # apt expands these
debian_mirrors() {
	apt-get indextargets --format '$(LABEL)|$(COMPONENT)|$(REPO_URI)' 'Identifier: Packages' 2>/dev/null |
		awk -F'|' '$1 == "Debian" && $2 == "main" && !seen[$3]++ { print $3 }'
}

# An apt with sources, lists and installed packages (none) of its own, so that nothing is installed on this machine.
suite_apt() {
	local dir=$1
	shift
	apt-get -qq -o "Dir::Etc::SourceList=$dir/sources.list" -o "Dir::Etc::SourceParts=$dir/none" \
		-o "Dir::Etc::Preferences=$dir/none" -o "Dir::Etc::PreferencesParts=$dir/none" -o "Dir::State=$dir/state" \
		-o "Dir::State::Lists=$dir/lists" -o "Dir::State::status=$dir/status" -o "Dir::Cache=$dir/cache" \
		-o APT::Default-Release= -o Acquire::Check-Valid-Until=false -o APT::Sandbox::User= \
		-o APT::Update::Post-Invoke::= -o APT::Update::Post-Invoke-Success::= \
		-o APT::Install-Recommends=false "$@" >>"$log" 2>&1
}

# install_debian SUITE PACKAGE=VERSION...: unpacks them, and all that they depend on, into $work/SUITE.
install_debian() {
	local suite=$1 apt=$work/apt-$1 root=$work/$1 keyring=/usr/share/keyrings/debian-archive-keyring dir deb mirror
	shift
	[[ $(dpkg --print-architecture 2>/dev/null) = amd64 ]] || die 'needs Debian on amd64'
	mirror=$(debian_mirrors | head -n 1)
	[[ -n $mirror ]] || die "apt has no lists: run 'apt-get update' first"
	if [[ -f $keyring.pgp ]]; then keyring=$keyring.pgp; else keyring=$keyring.gpg; fi
	mkdir -p "$root" "$apt/none" "$apt/state" "$apt/lists/partial" "$apt/cache/archives/partial"
	# Packages of older suites have files in /lib and /lib64, which are links there.
	for dir in bin sbin lib lib64; do
		mkdir -p "$root/usr/$dir"
		ln -sfn "usr/$dir" "$root/$dir"
	done
	: >"$apt/status"
	printf 'deb [signed-by=%s] %s %s main\n' "$keyring" "$mirror" "$suite" >"$apt/sources.list"
	suite_apt "$apt" update || die "no lists of $suite: $(tail -n 3 "$log")"
	suite_apt "$apt" install --yes --download-only "$@" || die "$suite no longer has $*: $(tail -n 3 "$log")"
	for deb in "$apt"/cache/archives/*.deb; do
		dpkg-deb --fsys-tarfile "$deb" |
			tar -x -C "$root" --keep-directory-symlink --no-same-owner --exclude='./dev/*' --exclude='./usr/share/doc/*'
	done
	rm -rf -- "$apt/cache"
}

# in_debian SUITE PROGRAM [ARGUMENT...]: runs a program of install_debian's with that suite's own libraries.
in_debian() {
	local root=$work/$1 program=$work/$1/usr/bin/$2 lib=$work/$1/usr/lib/x86_64-linux-gnu path
	shift 2
	path=$lib:$root/usr/lib
	# The linear algebra that update-alternatives would have chosen among, and what programs find by their own RUNPATH.
	path+=$(find "$lib" -mindepth 1 -maxdepth 1 -type d \( -name '*blas*' -o -name lapack -o -name ceph \) -printf ':%p')
	env -i HOME="$work" LC_ALL=C.UTF-8 PYTHONHOME="$root/usr" PYTHONPATH="$root/usr/lib/python3/dist-packages" \
		PYTHONDONTWRITEBYTECODE=1 OMP_NUM_THREADS=1 UCX_LOG_LEVEL=fatal \
		"$root/usr/lib64/ld-linux-x86-64.so.2" --library-path "$path" "$program" "$@"
}

# python SUITE: runs the script on standard input, whose argument is $work, with that suite's Python.
python() {
	in_debian "$1" python3 - "$work"
}

# expect WHAT SEEN: shows what was seen; fails if it isn't what standard input says.
expect() {
	local expected
	expected=$(cat)
	printf '%s:\n%s\n\n' "$1" "$2"
	[[ $2 = "$expected" ]] || die "$1: this has changed, it was:
$expected"
}
