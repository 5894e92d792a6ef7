# shellcheck shell=bash
# What a run was worth: from its channel, its console and QEMU's exit. Sourced,
# never run.

expressions() { grep -vE '^(#|$)' "$1"; }

# An expression that grep does not understand would find nothing.
check_expressions() {
	local file status
	for file in "$HARNESS/console-bad" "$HARNESS/console-ok" ${SPLATS:+"$SPLATS"}; do
		status=0
		grep -qEf <(expressions "$file") /dev/null || status=$?
		[ "$status" -eq 1 ] || echo "$file has an expression that grep does not understand"
	done
}

# What KCSAN has to say of other code than scripts/kcsan.awk takes for ours goes to
# other-races, a line each, and is not judged.
bad_lines() {
	local symbols
	symbols=$(image_dir "$VARIANT")/symbols
	awk -f "$TOP/scripts/kcsan.awk" -v symbols="$symbols" "$DIR/console" >"$DIR/races"
	sed -n 's/^other //p' "$DIR/races" >"$DIR/other-races"
	[ ! -s "$DIR/races" ] || [ -s "$symbols" ] || echo "BUG: KCSAN: nobody knows whose: no $symbols"
	sed -n 's/^ours /BUG: KCSAN: /p' "$DIR/races"
	grep -aEf <(expressions "$HARNESS/console-bad") "$DIR/console" |
		grep -avEf <(expressions "$HARNESS/console-ok") |
		grep -av 'BUG: KCSAN: ' || true
}

# With --splats: each expression has to be there, each bad line has to be one of
# them, and those that find bad lines find as many as there are of it.
check_console() {
	local expression want have
	bad_lines >"$DIR/bad"
	if [ -n "$SPLATS" ]; then
		while read -r want expression; do
			grep -aqE "$expression" "$DIR/console" ||
				echo "the console does not show: $expression"
			have=$(grep -acE "$expression" "$DIR/bad" || true)
			[ "$have" -eq 0 ] || [ "$have" -eq "$want" ] ||
				echo "the console shows $have times instead of $want: $expression"
		done < <(expressions "$SPLATS" | sort | uniq -c)
		grep -avEf <(expressions "$SPLATS") "$DIR/bad" >"$DIR/bad.left" || true
		mv "$DIR/bad.left" "$DIR/bad"
	fi
	if [ -s "$DIR/bad" ]; then
		echo "the console is not clean: $(wc -l <"$DIR/bad") lines, the first: $(head -n 1 "$DIR/bad")"
	fi
}

# Tests with a result that a file does not name, behind a tab, and those that it
# names without it.
unexpected() { # FILE RESULT
	comm -3 <(grep -vE '^(#|$)' "${1:-/dev/null}" | sort) \
		<(sed -n "s/^$2 //p" "$DIR/summary" | sort)
}

# Prints why the run failed, a reason a line; nothing when it passed.
reasons() {
	case $QEMU_STATUS in
	0) ;;
	hung) echo "the guest hung: QEMU was ended after its time limit; the console ends with:"
		tail -n 5 "$DIR/console" | sed 's/^/    /' ;;
	*) echo "QEMU ended with $QEMU_STATUS: $(tail -n 1 "$DIR/qemu.log")" ;;
	esac
	if ! grep -aqx '# guest: end' "$DIR/results"; then
		echo "the guest did not come to its end"
	fi
	grep '^plan ' "$DIR/summary" | sed 's/^plan none/no plan/; s/^plan /plan not kept: /' || true
	unexpected "$FAILURES" fail | sed 's/^\t\(.*\)/failed: \1/; t; s/^/did not fail as it should: /'
	unexpected "$SKIPS" skip | sed 's/^\t\(.*\)/skipped: \1/; t; s/^/was not skipped as it should be: /'
	[ -n "$(sed -n '/^\(pass\|fail\) /p' "$DIR/summary")" ] || echo "no test ran"
	[ -s "$DIR/console" ] || echo "the console is empty"
	check_expressions
	check_console
}

verdict() { # ELAPSED
	local why passed failed skipped
	awk -f "$TOP/scripts/ktap.awk" "$DIR/results" >"$DIR/summary"
	read -r _ passed failed skipped < <(grep '^totals ' "$DIR/summary")
	why=$(reasons)
	printf '%s %s %s\n' "$passed" "$failed" "$skipped" >"$DIR/totals"
	if [ -z "$why" ]; then
		say "${GREEN}PASS${OFF} ${NAME:-$VARIANT}: $passed passed, $failed failed${FAILURES:+ as they should}, $skipped skipped, $1"
		echo PASS >"$DIR/verdict"
		return 0
	fi
	echo FAIL >"$DIR/verdict"
	printf '%s\n' "$why" >"$DIR/why"
	say "${RED}FAIL${OFF} ${NAME:-$VARIANT}: $passed passed, $failed failed, $skipped skipped, $1"
	printf '%s\n' "$why" | sed 's/^/  /'
	say "  results, console and QEMU's command are in ${DIR#"$TOP/"}"
	return 1
}
