build/races.o: races.c explore.h
