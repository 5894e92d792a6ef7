build/access.o: access.c explore.h
