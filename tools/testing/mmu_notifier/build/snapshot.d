build/snapshot.o: snapshot.c explore.h search.h
