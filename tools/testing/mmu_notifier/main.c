// SPDX-License-Identifier: GPL-2.0
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "explore.h"
#include "search.h"

enum { GOOD, FAILED, UNUSABLE };

static void usage(FILE *to)
{
	fprintf(to,
"usage: explore [OPTION...] [PROGRAM...]\n"
"\n"
"Goes through all schedules of small programs around mm/mmu_notifier.c; of each, if\n"
"none is named. Those with few preemptions come first.\n"
"\n"
"  --list           name the programs\n"
"  --bound N        at most that many preemptions\n"
"  --first          stop at the first program that fails\n"
"  --seconds N      of CPU for one program, 60; what is not exhausted then is a failure\n"
"  --replay TRACE   print what a schedule does, of one program\n"
"  --ignore races|warnings\n"
"                   those are no failure\n"
"\n"
"Exit 0 if every schedule was tried and is good, 1 if not, 2 if it cannot be said.\n");
}

/* The programs, one after the other; NULL behind the last */
static const struct program *get(unsigned int i)
{
	static const struct {
		const struct program *programs;
		const unsigned int *n;
	} files[] = {
		{ programs, &nr_programs }, { windows, &nr_windows },
		{ waits, &nr_waits }, { mask, &nr_mask },
		{ flat, &nr_flat }, { misuse, &nr_misuse },
	};
	unsigned int file;

	for (file = 0; file < sizeof(files) / sizeof(files[0]); file++) {
		if (i < *files[file].n)
			return &files[file].programs[i];
		i -= *files[file].n;
	}
	return NULL;
}

static const struct program *find(const char *name)
{
	unsigned int i;

	for (i = 0; get(i); i++)
		if (!strcmp(get(i)->name, name))
			return get(i);
	fprintf(stderr, "explore: no program \"%s\"; --list names them\n", name);
	exit(UNUSABLE);
}

/* Of this process, so that a slow machine changes no verdict */
static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static int show(const char *trace)
{
	struct result result = replay(trace, true);

	if (!result.failed && !result.exhausted) {
		fprintf(stderr, "explore: %s\n", result.why);
		return UNUSABLE;
	}
	trace_print();
	printf("%s\n", result.failed ? result.why : "nothing is wrong with this schedule");
	return result.failed ? FAILED : GOOD;
}

static int failure(const struct result *result)
{
	char trace[sizeof(result->trace)], why[sizeof(result->why)];

	strcpy(trace, result->trace);
	strcpy(why, result->why);
	printf("not ok %s # %s\n", program->name, why);
	fflush(stdout);
	replay(trace, true);
	trace_print();
	printf("%s\nagain: explore %s --replay %s\n", why, program->name, trace);
	return FAILED;
}

/* With more and more preemptions, so that a failure has as few as it can have. */
static int explore(unsigned int bound, double seconds)
{
	double begin = now();
	struct result result;
	unsigned int n;

	if (program->optional && !program->needs) {
		printf("ok %s # SKIP the core does not have it\n", program->name);
		return GOOD;
	}
	if (program->bound && bound == NO_BOUND)
		bound = program->bound;
	for (n = 0; ; n = n < 2 ? n + 1 : bound) {
		if (n > bound)
			n = bound;
		result = search(n, seconds - (now() - begin));
		if (result.failed && program->must && strstr(result.why, program->must)) {
			printf("ok %s # %s\n", program->name, result.why);
			return GOOD;
		}
		if (result.failed)
			return failure(&result);
		if (!result.exhausted) {
			printf("not ok %s # not exhausted in %.0f s: %lu schedules with %u preemptions, %lu states\n",
			       program->name, seconds, result.schedules, n, result.states);
			return FAILED;
		}
		if (result.all || n == bound)
			break;
	}
	if (program->must) {
		printf("not ok %s # nothing says: %s\n", program->name, program->must);
		return FAILED;
	}
	if (program->tasks[1].comm && result.schedules < 2) {
		printf("not ok %s # it has no schedules\n", program->name);
		return FAILED;
	}
	printf("ok %s # %lu schedules, %lu states, ", program->name,
	       result.schedules, result.states);
	if (result.all)
		printf("all there are");
	else
		printf("all with %u preemptions", n);
	printf(", %.1f s\n", now() - begin);
	return GOOD;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "list", no_argument, NULL, 'l' },
		{ "bound", required_argument, NULL, 'b' },
		{ "seconds", required_argument, NULL, 's' },
		{ "replay", required_argument, NULL, 'r' },
		{ "first", no_argument, NULL, 'f' },
		{ "ignore", required_argument, NULL, 'i' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	unsigned int bound = NO_BOUND, i;
	bool first = false;
	const char *trace = NULL;
	double seconds = 60;
	int c, ret = GOOD;

	catch_signals();
	setvbuf(stdout, NULL, _IOLBF, 0);
	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (c) {
		case 'l':
			for (i = 0; get(i); i++)
				printf("%-24s %s\n", get(i)->name, get(i)->about);
			return GOOD;
		case 'b':
			bound = atoi(optarg);
			break;
		case 'f':
			first = true;
			break;
		case 's':
			seconds = atof(optarg);
			break;
		case 'i':
			if (!strcmp(optarg, "races")) {
				ignore_races = true;
				break;
			}
			if (!strcmp(optarg, "warnings")) {
				ignore_warnings = true;
				break;
			}
			fprintf(stderr, "explore: --ignore races or --ignore warnings\n");
			return UNUSABLE;
		case 'r':
			trace = optarg;
			break;
		case 'h':
			usage(stdout);
			return GOOD;
		default:
			usage(stderr);
			return UNUSABLE;
		}
	}
	if (trace) {
		if (argc != optind + 1) {
			fprintf(stderr, "explore: --replay is for one program\n");
			return UNUSABLE;
		}
		program = find(argv[optind]);
		return show(trace);
	}
	for (i = 0; argc > optind ? optind + i < argc : !!get(i); i++) {
		program = argc > optind ? find(argv[optind + i]) : get(i);
		if (explore(bound, seconds) > ret)
			ret = FAILED;
		if (first && ret)
			break;
	}
	return ret;
}
