build/trace.o: trace.c explore.h search.h
