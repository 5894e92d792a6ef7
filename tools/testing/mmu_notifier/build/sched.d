build/sched.o: sched.c explore.h
