# Reads a console and prints, a report of KCSAN a line, "ours TITLE" or "other
# TITLE". It is ours when one of the four innermost functions of one of its
# stacks is in the file of symbols given as -v symbols=FILE, those of the objects
# that the series touches.

BEGIN {
	while ((getline name <symbols) > 0)
		touched[name] = 1
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
	if (++frames <= 4 && name in touched)
		ours = 1
}

/^=+$/ && title != "" && frames { done_report() }

END { done_report() }
