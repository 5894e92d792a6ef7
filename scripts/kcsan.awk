# Reads a console and prints, a report of KCSAN a line, "ours TITLE" or "other
# TITLE". -v symbols=FILE names functions, each with a number N: a report is ours
# when one of them is among the N innermost of one of its stacks.

BEGIN {
	while ((getline line <symbols) > 0) {
		split(line, word, " ")
		if (word[2] > depth[word[1]])
			depth[word[1]] = word[2]
	}
}

function done_report() {
	if (title != "")
		print (ours ? "ours " : "other ") title
	title = ""
}

{
	sub(/\r$/, "")
	sub(/^\[ *[0-9.]+\] (\[[^]]*\] )?/, "")
}

/BUG: KCSAN: / {
	done_report()
	title = $0
	sub(/.*BUG: KCSAN: /, "", title)
	ours = 0
	frames = 0
}

/ by (task|interrupt)/ || /^race at unknown origin/ { frames = 0 }

title != "" && match($0, /^ *[A-Za-z_][A-Za-z0-9_.]*\+0x/) {
	name = $1
	sub(/\+0x.*/, "", name)
	sub(/\.(isra|part|constprop|cold).*/, "", name)
	if (++frames <= depth[name])
		ours = 1
}

/^=+$/ && title != "" && frames { done_report() }

END { done_report() }
