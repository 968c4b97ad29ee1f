#!/usr/bin/env bats
# What a service manager and mount(8) start, and where messages go then.
load helpers

@test "a service manager is told when the mount answers, and that it ends" {
	mkmodel --bytes 16K
	for socket in "$T/notify" "@tfs-$BASHPID-$RANDOM"; do
		py "$e2e/boot.py" told "$socket" "$TENSORFS" "$model" "$mnt"
	done
	# No such socket: served all the same.
	launch=(env NOTIFY_SOCKET="$T/none")
	expect_log "NOTIFY_SOCKET=$T/none: No such file"
	start "$model" "$mnt"
	[[ -f $mnt/tensors/model.embed_tokens.weight ]]
}

@test "messages for the journal have priorities, others don't" {
	mkmodel --bytes 16K
	printf x >"$model/broken.safetensors"
	py "$e2e/boot.py" journal yes "$TENSORFS" "$model" "$mnt"
	py "$e2e/boot.py" journal no "$TENSORFS" "$model" "$mnt"
}

@test "--log-file: messages of the mounted daemon, with the time" {
	mkmodel --bytes 16K
	cd "$T"
	for where in -f ''; do
		: >daemon.log
		if [[ $where ]]; then
			start --log-file=daemon.log "$model" "$mnt"
		else
			start_background -o log-file=daemon.log "$model" "$mnt"
		fi
		truncate -s -100 "$model/model.safetensors"
		run ! cat "$mnt"/tensors/*
		umount "$mnt"
		wait_until ended "$daemon"
		grep -qE '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z tensorfs: .*model.safetensors' daemon.log
		[[ $(stat -c %a daemon.log) = 644 ]]
		rm -r "$model"
		mkmodel --bytes 16K
	done
	refused 1 --log-file="$T/none/log" "$model" "$mnt"
	[[ $output = *"--log-file: $T/none/log: No such file"* ]]
}

@test "systemd's units are as systemd wants them" {
	command -v systemd-analyze >/dev/null || skip "optional: no systemd-analyze"
	mkdir "$T/units"
	sed "s,@bindir@/tensorfs,$TENSORFS," "$top/packaging/systemd/tensorfs@.service.in" >"$T/units/tensorfs@.service"
	cp "$top"/examples/mnt-llama.*mount "$T/units"
	run systemd-analyze --man=no verify "$T/units/tensorfs@llama.service" "$T"/units/*mount
	[[ $status = 0 && -z $output ]] || fail "$status: $output"
}
