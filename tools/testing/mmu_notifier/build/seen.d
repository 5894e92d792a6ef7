build/seen.o: seen.c explore.h search.h
