# shellcheck shell=bash
# Sourced by the other scripts, which run under `set -euo pipefail`.

# The top of the source tree.
tfs_top=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)

tfs_die() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

# Prints a Python 3 that has NumPy. The system's comes first: one that a version manager put into PATH often has none.
tfs_python() {
	local python
	for python in "${TFS_PYTHON:-}" /usr/bin/python3 python3; do
		[[ -n $python ]] || continue
		if "$python" -c 'import numpy' 2>/dev/null; then
			printf '%s\n' "$python"
			return 0
		fi
	done
	return 1
}

# tfs_configure DIR [OPTION...]: sets up or reconfigures a build directory.
tfs_configure() {
	local dir=$1
	shift
	if [[ -f $dir/build.ninja ]] && meson configure "$dir" "$@"; then
		return 0
	fi
	# What an interrupted setup leaves behind can be neither configured nor set up again.
	[[ ! -d $dir ]] || find "$dir" -mindepth 1 -delete # not itself, which scripts/test has locked
	meson setup "$dir" "$tfs_top" "$@"
}

# What scripts/test lint looks with: the tool, the version whose word counts, as others find other things, and the Debian package. And the
# second compiler, which warns of other things than gcc, and what its sanitizers need.
# shellcheck disable=SC2034 # used by who sources this
tfs_clang='clang 14 clang-14 libclang-rt-14-dev'
# shellcheck disable=SC2034
tfs_linters='clang-format 14 clang-format-14
clang-tidy 14 clang-tidy-14
cppcheck 2.10 cppcheck
gcc 12 gcc-12
shellcheck 0.9 shellcheck
valgrind 3.19 valgrind'

# tfs_linter TOOL VERSION: prints the command that is it.
tfs_linter() {
	local command
	for command in "$1-$2" "$1"; do
		if [[ $("$command" --version 2>/dev/null) =~ (version:?\ |Cppcheck\ |valgrind-|^gcc.*\)\ )"$2"([^0-9]|$) ]]; then
			printf '%s\n' "$command"
			return 0
		fi
	done
	return 1
}
