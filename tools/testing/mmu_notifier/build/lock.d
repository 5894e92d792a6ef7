build/lock.o: lock.c explore.h
