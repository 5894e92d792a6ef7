# gnuplot -e "dir='DIR'; old='NAME'; new='NAME'" plot.gp: from the files *.dat in DIR.
set terminal svg size 1000,760 dynamic font "sans,13" background "white"
set output dir."/bench.svg"
set multiplot layout 2,2 title "mmu notifiers: ".old." and ".new
set key top left
set grid ytics lc rgb "#dddddd"
set style data linespoints
base = "lc rgb '#b0413e' pt 7 lw 2"
series = "lc rgb '#2a6f97' pt 5 lw 2"
set ylabel "instructions"
set logscale x 2
set title "madvise(2): list notifiers"
plot dir."/list.dat" using 1:2 title old @base, '' using 1:3 title new @series
set title "madvise(2): interval notifiers that are hit"
set logscale xy
plot dir."/hit.dat" using 1:2 title old @base, '' using 1:3 title new @series
unset logscale
set logscale x 2
set yrange [0:*]
set title "madvise(2) while other threads are between start and end"
set xtics add ("0" 0.5)
plot dir."/active.dat" using ($1 > 0 ? $1 : 0.5):2 title old @base, '' using ($1 > 0 ? $1 : 0.5):3 title new @series
unset logscale
set logscale y
set yrange [*:*]
set ylabel "microseconds"
set xtics auto
set title "waiting beside an unrelated invalidation of 1 ms"
set style data histogram
set style histogram clustered gap 1
set style fill solid 0.8
plot dir."/waits.dat" using ($2/1000):xtic(1) title old lc rgb '#b0413e', '' using ($3/1000) title new lc rgb '#2a6f97'
unset multiplot
