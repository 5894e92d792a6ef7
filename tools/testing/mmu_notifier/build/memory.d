build/memory.o: memory.c explore.h
