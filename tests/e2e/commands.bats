#!/usr/bin/env bats
# What the program is told to do with a model: commands, mounting, and what is neither.
load helpers

@test "--help and help name every command, and each explains itself" {
	run -0 "$TENSORFS" --help
	names=$(sed -n '/^Commands/,/^$/s/^  \([a-z]*\) .*/\1/p' <<<"$output")
	[[ $names = *bench*help ]] || fail "$output"
	all=$output
	run -0 "$TENSORFS" help
	[[ $output = "$all" ]] || fail "$output"
	for name in $names; do
		run -0 "$TENSORFS" help "$name"
		[[ ${lines[0]} = "usage: tensorfs $name "* ]] || fail "$output"
		help=$output
		run -0 "$TENSORFS" "$name" --help
		[[ $output = "$help" ]] || fail "$output"
		[[ $name = help || -f $top/man/tensorfs-$name.1 ]] || fail "no page of $name"
		grep -qF ".It Nm Cm $name" "$top/man/tensorfs.1" || fail "the program's page does not name $name"
		run -2 "$TENSORFS" "$name" --nosuch
		[[ $output = "tensorfs $name: "*"Try 'tensorfs $name --help'." ]] || fail "$output"
	done
}

@test "what is no command and no model is answered as such, with status 2" {
	cd "$T"
	for args in nosuch "nosuch $mnt" "nosuch a b c"; do
		# shellcheck disable=SC2086 # words
		run -2 "$TENSORFS" $args
		[[ ${lines[0]} = 'tensorfs: nosuch: no such command or model' ]] || fail "$output"
	done
	run -2 "$TENSORFS" help nosuch
	[[ ${lines[0]} = 'tensorfs help: nosuch: unknown command' ]] || fail "$output"
	# With a slash it can only be a model; and what is there is one, without a mountpoint.
	refused 1 ./nosuch "$mnt"
	[[ $output = *'./nosuch: No such file'* ]] || fail "$output"
	mkmodel --bytes 16K
	refused 2 model
	[[ ${lines[0]} = 'tensorfs: MOUNTPOINT is missing' ]] || fail "$output"
	# What is required, not what may be there before it.
	run -2 "$TENSORFS" cp model
	[[ ${lines[0]} = 'tensorfs cp: OUT is missing' ]] || fail "$output"
	run -2 "$TENSORFS" cp
	[[ ${lines[0]} = 'tensorfs cp: MODEL is missing' ]] || fail "$output"
	# A file with a URL is one.
	echo http://127.0.0.1:9/model.safetensors >url
	run -1 "$TENSORFS" @url "$mnt"
	[[ $output != *"no such command"* ]] || fail "$output"
}

# lost TO ARGUMENT...: with a closed standard output, or /dev/full as that, it fails and says why, once.
lost() {
	local to=$1 rc=0 why='Bad file descriptor'
	shift
	if [[ $to = closed ]]; then
		"$TENSORFS" "$@" 2>"$T/err" >&- || rc=$?
	else
		"$TENSORFS" "$@" 2>"$T/err" >"$to" || rc=$?
		why='No space left on device'
	fi
	[[ $rc = 2 && $(cat "$T/err") = "tensorfs: error: can't write to standard output: $why" ]] ||
		fail "$to, $*: status $rc, $(cat "$T/err")"
}

# clean OUTPUT: nothing in it can affect a terminal but the ends of lines.
clean() {
	! LC_ALL=C grep -qE $'[\001-\010\013-\037\177]|\302[\200-\237]|\342\200[\216\217\250-\256]' <<<"$1" || fail "$(cat -v <<<"$1")"
}

@test "names can't affect the terminal: in messages, and of operands" {
	cd "$T"
	names=($'m\e]0;pwn\a' $'c1\u009b31m' $'bidi\u202egpj' $'del\177' $'two\nlines')
	for name in "${names[@]}"; do
		mkdir "$name"
		run -2 "$TENSORFS" ls "$name/"
		clean "$output"
		[[ ${#lines[@]} = 1 && $output = *'no weights found'* ]] || fail "$output"
		run -2 "$TENSORFS" "$name$name"
		clean "$output"
		[[ $output = *'no such command or model'* ]] || fail "$output"
		run -2 "$TENSORFS" ls a "$name"
		clean "$output"
		run -2 "$TENSORFS" ls "--$name"
		clean "$output"
		[[ $output = "tensorfs ls: invalid option"*"Try 'tensorfs ls --help'." ]] || fail "$output"
		run -2 "$TENSORFS" help "$name"
		clean "$output"
		run -2 "$TENSORFS" --cache-size="$name" a b
		clean "$output"
	done
	run -2 "$TENSORFS" ls "${names[0]}"
	[[ $output = *'m%1B]0;pwn%07: no weights'* ]] || fail "$output"
	mkmodel --bytes 16K
	cp -r model "${names[0]}/one"
	mkmodel --bytes 32K
	run -1 "$TENSORFS" diff -q "${names[0]}/one" model
	clean "$output"
	[[ $output = 'm%1B]0;pwn%07/one and model differ' ]] || fail "$output"
	# What is well-formed stays as it is.
	mkdir 'grün 東京'
	run -2 "$TENSORFS" ls 'grün 東京'
	[[ $output = *': grün 東京: '* ]] || fail "$output"
}

@test "output that is lost is an error: of commands, --help, --version and completion" {
	mkmodel --bytes 64K
	export TENSORFS_CACHE=$T/cache
	full=
	[[ ! -c /dev/full ]] || full=/dev/full
	for to in closed $full; do
		for args in --help --version help 'help ls' 'ls --help' 'umount --version' 'completion bash' 'completion zsh' \
			'completion fish' 'status --json' cache "ls $model" "ls --json $model" "report $model" \
			"verify $model" "verify --json $model" "diff --json $model $model" "show $model model.embed_tokens.weight" \
			"cat $model model.embed_tokens.weight"; do
			# shellcheck disable=SC2086 # words
			lost "$to" $args
		done
		# More than is buffered.
		lost "$to" ls -l --json "$model"
		lost "$to" show --json "$model" '*'
		lost "$to" cp --json "$model" "$T/npy-${to##*/}/"
	done
	# What prints nothing loses nothing.
	"$TENSORFS" cp "$model" "$T/copy.safetensors" >&-
	[[ $full ]] || skip "optional: no /dev/full"
}

@test "a model that is called like a command" {
	mkmodel --bytes 16K
	mv "$model" "$T/help"
	cd "$T"
	start ./help "$mnt"
	[[ -f $mnt/model.safetensors ]]
}

# completes LINE: what bash completes after that, words in a line.
completes() {
	bash -c 'set -f; source "$1"
		read -ra COMP_WORDS <<<"${2//=/ = }"
		[[ $2 != *" " ]] || COMP_WORDS+=("")
		COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
		compopt() { :; }
		_tensorfs
		echo "${COMPREPLY[*]}"' - "$T/bash" "$1"
}

# bats test_tags=slow
@test "completion: commands, options and their values, in bash" {
	"$TENSORFS" completion bash >"$T/bash"
	shellcheck -s bash -e SC2207 "$T/bash" || [[ $? = 127 ]]
	for name in $("$TENSORFS" --help | sed -n '/^Commands/,/^$/s/^  \([a-z]*\) .*/\1/p'); do
		[[ " $(completes 'tensorfs ') " = *" $name "* ]] || fail "$name: $(completes 'tensorfs ')"
		# What --help has.
		for option in $("$TENSORFS" "$name" --help | grep -oP '^  (-\w, )?\K--[\w-]+'); do
			[[ " $(completes "tensorfs $name --")" = *" $option"* ]] || fail "$name $option"
		done
	done
	[[ $(completes 'tensorfs ls --by=') = 'layer dtype file' ]] || fail "$(completes 'tensorfs ls --by=')"
	[[ $(completes 'tensorfs ls --sort=s') = size ]]
	[[ $(completes 'tensorfs model --prefetch=') = 'auto all all:tensors none' ]]
	[[ $(completes 'tensorfs help ver') = verify ]]
	[[ $(completes 'tensorfs completion ') = 'bash zsh fish' ]] || fail "$(completes 'tensorfs completion ')"
	[[ $(completes 'tensorfs cache e') = export ]] || fail "$(completes 'tensorfs cache ')"
	[[ ! $(completes 'tensorfs cache rm ') && ! $(completes 'tensorfs ls ') ]]
	run -2 "$TENSORFS" completion csh
}

@test "completion: zsh and fish read theirs" {
	"$TENSORFS" completion zsh >"$T/zsh"
	"$TENSORFS" completion fish >"$T/fish"
	grep -qF "'1:what:(list verify rm export)'" "$T/zsh" && grep -qF "'1:what:(bash zsh fish)'" "$T/zsh"
	grep -q "__fish_seen_subcommand_from cache; and not .* -a 'list verify rm export'" "$T/fish"
	grep -q "__fish_seen_subcommand_from completion; and not .* -a 'bash zsh fish'" "$T/fish"
	command -v zsh >/dev/null || skip "optional: no zsh"
	zsh -n "$T/zsh"
	command -v fish >/dev/null || skip "optional: no fish"
	fish --no-execute "$T/fish"
	[[ $(HOME=$T fish -c "source '$T/fish'; complete -C 'tensorfs ls --by='") = *--by=dtype* ]]
	[[ $(HOME=$T fish -c "source '$T/fish'; complete -C 'tensorfs ver'") = *verify* ]]
}
