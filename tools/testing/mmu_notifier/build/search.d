build/search.o: search.c explore.h search.h
