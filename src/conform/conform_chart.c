// SPDX-License-Identifier: BSD-3-Clause
/* Draws SVG. Numbers in it are computed here; names come from the log and are escaped. */
#include "conform/conform_chart.h"

#include <inttypes.h>

#include "conform/conform_output.h"

#define WIDTH	 640
#define HEIGHT	 180
#define BASE	 150 /* of the columns */
#define TOP	 20
#define LABEL_AT 168

void conform_chart_bar(FILE *file, const struct conform_part *parts)
{
	size_t all = 0;

	for (const struct conform_part *part = parts; part->word; part++)
		all += part->count;
	fputs("<span class=\"bar\">", file);
	for (const struct conform_part *part = parts; part->word; part++)
		if (part->count)
			fprintf(file,
				"<i class=\"%s\" style=\"width:%.2f%%\" title=\"%zu %s\"></i>",
				part->word, 100 * (double)part->count / (double)all, part->count,
				part->word);
	fputs("</span>", file);
}

/* The middle of the column with @value, where the first column is that of bucket @first. */
static double place(uint64_t value, int first, double width)
{
	int bucket = value ? 64 - __builtin_clzll(value) : 0;

	return (bucket - first + 0.5) * width;
}

static void draw_mark(FILE *file, double at, const char *label)
{
	fprintf(file,
		"<line class=\"mark\" x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\"/>"
		"<text x=\"%.1f\" y=\"%d\">%s</text>\n",
		at, TOP, at, BASE, at, TOP - 6, label);
}

static void draw(FILE *file, const struct conform_measure *measure, int first, int last)
{
	double width = (double)WIDTH / (last - first + 1);
	uint64_t most = 1;

	for (int i = first; i <= last; i++)
		most = measure->buckets[i] > most ? measure->buckets[i] : most;
	fprintf(file, "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"distribution of ",
		WIDTH, HEIGHT);
	conform_escape(file, measure->name);
	fputs("\">\n", file);
	for (int i = first; i <= last; i++) {
		double height = (BASE - TOP) * (double)measure->buckets[i] / (double)most;

		fprintf(file,
			"<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"><title>%" PRIu64
			" below %" PRIu64 "</title></rect>"
			"<text x=\"%.1f\" y=\"%d\">&lt;%" PRIu64 "</text>\n",
			(i - first) * width + 1, BASE - height, width - 2, height,
			measure->buckets[i], UINT64_C(1) << i, (i - first + 0.5) * width, LABEL_AT,
			UINT64_C(1) << i);
	}
	draw_mark(file, place(measure->p50, first, width), "median");
	draw_mark(file, place(measure->p99, first, width), "99 %");
	fputs("</svg>\n", file);
}

void conform_chart_measure(FILE *file, const struct conform_measure *measure)
{
	int first = CONFORM_BUCKETS, last = -1;

	for (int i = 0; i < CONFORM_BUCKETS; i++) {
		if (!measure->buckets[i])
			continue;
		first = i < first ? i : first;
		last = i;
	}
	fputs("<h3><code>", file);
	conform_escape(file, measure->name);
	fprintf(file,
		"</code></h3>\n<p>%" PRIu64 " values, median %" PRIu64 ", 90 %%: %" PRIu64
		", 99 %%: %" PRIu64 ", from %" PRIu64 " to %" PRIu64 " ",
		measure->count, measure->p50, measure->p90, measure->p99, measure->minimum,
		measure->maximum);
	conform_escape(file, measure->unit);
	fputs("</p>\n", file);
	if (last >= 0)
		draw(file, measure, first, last);
}
