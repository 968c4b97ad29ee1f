#!/usr/bin/env bats
# tensorfs report: a page that is sound HTML, with NumPy's figures.
load helpers

# report ARGUMENT...: the page in $T/page.html.
report() {
	"$TENSORFS" report "$@" >"$T/page.html" 2>"$T/err" 3>&- 9>&- </dev/null || fail "status $?: $(cat "$T/err")"
	[[ ! -s $T/err ]] || fail "$(cat "$T/err")"
}

@test "groups, areas and figures" {
	mkmodel --bytes 4M --tensors 40
	report "$model"
	py "$e2e/nomount.py" page "$model/model.safetensors" "$T/page.html" "$model"
	cp "$T/page.html" "$T/first.html"
	report "$model"
	cmp "$T/page.html" "$T/first.html"
	report --no-values "$model"
	! grep -q histogram\" "$T/page.html" || fail "it has histograms"
}

# bats test_tags=slow
@test "every kind of value and name; a quantised model" {
	py "$e2e/nomount.py" special "$model"
	mv "$model" "$T/<b>&\"'"
	report "$T/<b>&\"'"
	py "$e2e/nomount.py" page "$T/<b>&\"'/model.safetensors" "$T/page.html" "$T/<b>&\"'"
	! grep -qP '\x1b|\xc2[\x80-\x9f]|\xe2\x80\xae' "$T/page.html" || fail "it has control characters"
	py "$e2e/quantised.py" make "$T/all"
	report "$T/all/awq/tiles"
	grep -q '<td class="left">awq</td>' "$T/page.html"
	run -2 "$TENSORFS" report "$T/nosuch"
}

# bats test_tags=slow
@test "in a browser" {
	for browser in chromium chromium-browser google-chrome; do
		! command -v "$browser" >/dev/null || break
	done
	command -v "$browser" >/dev/null || skip "optional: no Chromium"
	mkmodel --bytes 4M --tensors 40
	report "$model"
	timeout 60 "$browser" --headless --no-sandbox --disable-gpu --user-data-dir="$T/profile" --window-size=1200,1600 \
		--screenshot="$T/page.png" "file://$T/page.html" 3>&- 9>&-
	[[ $(file "$T/page.png") = *'PNG image data, 1200 x 1600'* ]]
}
