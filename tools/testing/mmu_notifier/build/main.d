build/main.o: main.c explore.h search.h
