# Reads nested KTAP as kselftest prints it ("# " for each level) and prints
#   result NAME      for each test: pass, fail or skip
#   plan DETAIL      for each plan that was not kept, or missing
#   totals P F S
# A test that contains others counts only when it failed and none of them did.

BEGIN { deepest = 0 }

function depth_of(line,   d) {
	d = 0
	while (line ~ /^# /) {
		line = substr(line, 3)
		d++
	}
	rest = line
	return d
}

# Ends the plans deeper than d: what they contain is over.
function close_deeper(d,   i) {
	for (i = deepest; i > d; i--) {
		if (planned[i] == "" && seen[i])
			print "plan none, " seen[i] " seen, at level " i
		else if (planned[i] != "" && (planned[i] != seen[i] || !planned[i]))
			print "plan " planned[i] " planned, " seen[i] + 0 " seen, at level " i
		planned[i] = ""
		seen[i] = 0
	}
	if (deepest > d)
		deepest = d
}

{
	sub(/\r$/, "")
	depth = depth_of($0)
}

rest ~ /^Bail out!/ {
	print "plan broken off: " rest
}

rest ~ /^1\.\.[0-9]+/ {
	any = 1
	# run_vmtests.sh has its plan at the end, the others at the beginning.
	planned[depth] = substr(rest, 4) + 0
	if (depth > deepest)
		deepest = depth
	next
}

rest ~ /^(not )?ok [0-9]+/ {
	inner_fail = failed_below[depth]
	inner = below[depth]
	if (depth < deepest)
		close_deeper(depth)
	deepest = depth > deepest ? depth : deepest
	seen[depth]++
	name = rest
	sub(/^(not )?ok [0-9]+ (- )?/, "", name)
	# What is expected to fail, or was and did not, is nothing that passed.
	result = rest ~ /^not/ || name ~ /# X(FAIL|PASS)/ ? "fail" : "pass"
	if (name ~ /# SKIP/)
		result = "skip"
	expected = ""
	if (match(name, /# X(FAIL|PASS)/))
		expected = " (" substr(name, RSTART + 2, 5) ")"
	# Some name it behind the directive only.
	sub(/^# X(FAIL|PASS) */, "", name)
	sub(/ *#.*$/, "", name)
	name = name expected
	if (inner && (inner_fail || result == "pass")) {
		# counted by what it contains
	} else {
		print result " " name
		count[result]++
	}
	for (i = 0; i < depth; i++) {
		below[i]++
		if (result == "fail")
			failed_below[i]++
	}
	below[depth] = 0
	failed_below[depth] = 0
}

END {
	close_deeper(-1)
	if (!any)
		print "plan none"
	print "totals " count["pass"] + 0 " " count["fail"] + 0 " " count["skip"] + 0
}
