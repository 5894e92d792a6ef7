# gnuplot -e "dir='DIR'; old='NAME'; new='NAME'" plot.gp: from the files *.dat in DIR.
# ratios.svg shows what became cheaper and what more expensive, bench.svg how much.
set terminal svg size 1000,1500 dynamic font "sans,12" background "white"
set output dir."/ratios.svg"
set title "instructions of a call: ".new." / ".old.", for each number of notifiers (bench-count in results.md)"
set grid xtics lc rgb "#dddddd"
set ytics noenhanced
set yrange [*:*] reverse
set offsets 0, 0, 1, 1
set lmargin 28
set rmargin 12
# What lies outside stands at the edge; the ratio is written beside it.
set xrange [0.85:1.25]
edge(x) = x < 0.86 ? 0.86 : x > 1.24 ? 1.24 : x
set xlabel "left of 1: cheaper; right of 1: more expensive"
set arrow from 1, graph 0 to 1, graph 1 nohead lc rgb "#888888" lw 2
unset key
plot dir."/ratios.dat" using (edge($2)):0:ytic(1) with points pt 7 ps 0.7 lc rgb '#2a6f97', \
	'' using (1.25):0:(sprintf("%.3g", $2)) with labels left offset 1,0
reset
set terminal svg size 1500,2200 dynamic font "sans,12" background "white"
set output dir."/bench.svg"
set multiplot layout 7,4 title "mmu notifiers: ".old." and ".new
set key tmargin right horizontal samplen 2
set grid ytics lc rgb "#dddddd"
set style fill solid 0.8
base = "lc rgb '#b0413e' pt 7 lw 2"
series = "lc rgb '#2a6f97' pt 5 lw 2"

# A row for each kind of notifier, a column for each call; 0 is drawn at 0.5.
set style data linespoints
set xtics add ("0" 0.5)
x(n) = n > 0 ? n : 0.5
set ylabel "instructions"
do for [state in "list elsewhere hit active"] {
	do for [work in "madvise munmap mprotect fork_cow"] {
		if (state eq "hit") { set logscale xy; set yrange [*:*] } else { unset logscale y; set logscale x; set yrange [0:*] }
		set title work.", ".state noenhanced
		# fork() cannot be measured beside ranges in progress.
		if (state eq "active" && work eq "fork_cow") {
			set title "read_begin, active" noenhanced
			plot dir."/read_begin.active.dat" using (x($1)):2 title old @base, '' using (x($1)):3 title new @series
		} else {
			plot dir."/".work.".".state.".dat" using (x($1)):2 title old @base, '' using (x($1)):3 title new @series
		}
	}
}
unset logscale
set logscale y
set style data histogram
set style histogram clustered gap 1
set xtics auto noenhanced rotate by -30
set yrange [1:*]
set ylabel "ns"
set title "teardown of 1000: each, and one synchronize"
plot dir."/teardown.dat" using 2:xtic(1) title old lc rgb '#b0413e', '' using 3:xtic(1) title new lc rgb '#2a6f97'
set ylabel "instructions"
set yrange [*:*]
set title "a failed start, by list notifiers"
plot dir."/failed_start.dat" using 2:xtic(1) title old lc rgb '#b0413e', '' using 3 title new lc rgb '#2a6f97'
set ylabel "microseconds"
set title "waits beside an unrelated 1 ms invalidation"
plot dir."/waits.dat" using ($2/1000):xtic(1) title old lc rgb '#b0413e', '' using ($3/1000) title new lc rgb '#2a6f97'
unset logscale
set yrange [0:*]
set ylabel new." / ".old
set title "throughput of 2 threads, and its spread"
plot dir."/throughput.dat" using 0:2:3:4:(0.6):xtic(1) with boxerrorbars notitle lc rgb '#2a6f97'
set ylabel "count"
# Wide, below the others.
set rmargin 26
set title "atomics of a call"
set size 1,0.15
set origin 0,0.145
plot dir."/atomics.dat" using 2:xtic(1) title old lc rgb '#b0413e', '' using 4:xtic(1) title new lc rgb '#2a6f97'
set title "full barriers of a call"
set size 1,0.15
set origin 0,0
plot dir."/atomics.dat" using 3:xtic(1) title old lc rgb '#b0413e', '' using 5:xtic(1) title new lc rgb '#2a6f97'
unset multiplot
