// SPDX-License-Identifier: GPL-2.0
/*
 * A schedule as one column for each task, with the lines of source that run. The
 * addresses become lines with addr2line.
 */
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "explore.h"
#include "search.h"

#define MAX_LINES 4000
#define WIDTH 44

static struct line {
	const void *pc;
	int task;
	char text[96];
} lines[MAX_LINES];
static unsigned int nr_lines;
static const char *comms[MAX_TASKS];

void trace_reset(void)
{
	nr_lines = 0;
	memset(comms, 0, sizeof(comms));
}

static void add(const struct task *task, const void *pc, const char *text)
{
	struct line *line = &lines[nr_lines];

	if (nr_lines == MAX_LINES || !task)
		return;
	line->task = task - tasks;
	line->pc = pc;
	snprintf(line->text, sizeof(line->text), "%s", text);
	comms[line->task] = task->comm;
	nr_lines++;
}

/* What a task does when it goes on from where it was switched */
void trace_step(const struct task *task)
{
	char text[96];

	if (task->alternatives)
		snprintf(text, sizeof(text), "%s %u", task->op, task->chosen);
	else
		snprintf(text, sizeof(text), "%s", task->op);
	add(task, task->pc, text);
}

void trace_note(const struct task *task, const char *text)
{
	char quoted[96];

	snprintf(quoted, sizeof(quoted), "* %.90s", text);
	add(task, NULL, quoted);
}

static bool is_ours(const char *file)
{
	const char *name = strrchr(file, '/');

	name = name ? name + 1 : file;
	return !strncmp(name, "mmu_notifier.c", 14) || !strncmp(name, "interval.c", 10) ||
	       !strncmp(name, "list.c", 6) || !strncmp(name, "mm.c", 4) ||
	       !strncmp(name, "programs.c", 10);
}

/* The line of a source file, with the name of the file unless it is the core. */
static void source_line(char *text, size_t size, const char *file, int number)
{
	const char *name = strrchr(file, '/');
	char line[WIDTH * 3] = "", *p = line;
	FILE *f = fopen(file, "r");
	int i;

	name = name ? name + 1 : file;
	for (i = 0; f && i < number && fgets(line, sizeof(line), f); )
		i += !!strchr(line, '\n');
	if (f)
		fclose(f);
	p += strspn(p, "\t ");
	p[strcspn(p, "\n")] = 0;
	if (strcmp(name, "mmu_notifier.c"))
		snprintf(text, size, "%.20s:%d %.60s", name, number, p);
	else
		snprintf(text, size, "%d %.80s", number, p);
}

/* The outermost call that is inlined there, of those in the core or in a driver */
static void resolve(void)
{
	char command[64 + 20], buffer[1024], file[1024];
	char name[] = "/tmp/explore.XXXXXX";
	int number, fd = mkstemp(name), i = -1;
	bool found = false;
	FILE *out, *in;

	if (fd < 0)
		return;
	out = fdopen(fd, "w");
	for (number = 0; number < (int)nr_lines; number++)
		fprintf(out, "%p\n", lines[number].pc ? (char *)lines[number].pc - 1 : NULL);
	fclose(out);
	snprintf(command, sizeof(command), "addr2line -a -i -e /proc/%d/exe @%s", getpid(), name);
	snprintf(command, sizeof(command), "addr2line -a -i -e /proc/%d/exe <%s", getpid(), name);
	in = popen(command, "r");
	while (in && fgets(buffer, sizeof(buffer), in)) {
		if (!strncmp(buffer, "0x", 2)) {
			i++;
			found = false;
			continue;
		}
		if (i < 0 || i >= (int)nr_lines || !lines[i].pc || found)
			continue;
		if (sscanf(buffer, "%1023[^:]:%d", file, &number) != 2 || !is_ours(file))
			continue;
		found = true;
		{
			char text[96];

			source_line(text, sizeof(text), file, number);
			if (strchr(lines[i].text, '?'))
				snprintf(text, sizeof(text), "%s", lines[i].text);
			snprintf(lines[i].text, sizeof(lines[i].text), "%s", text);
		}
	}
	if (in)
		pclose(in);
	unlink(name);
}

void trace_print(void)
{
	unsigned int i;
	int column[MAX_TASKS], n = 0, j;

	resolve();
	for (j = 0; j < MAX_TASKS; j++) {
		if (!comms[j])
			continue;
		column[j] = n++;
		printf("%-*s", WIDTH, comms[j]);
	}
	printf("\n");
	for (i = 0; i < nr_lines; i++) {
		for (j = 0; j < column[lines[i].task]; j++)
			printf("%-*s", WIDTH, "|");
		printf("%.*s\n", WIDTH - 2 + (column[lines[i].task] == n - 1 ? 40 : 0), lines[i].text);
	}
}
