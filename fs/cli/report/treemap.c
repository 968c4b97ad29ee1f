/* SPDX-License-Identifier: MIT */
#include "cli/report/impl.h"

/* The worst ratio of sides in a row of the areas [from, to), whose sum is @sum, along @side. */
static double worst(const double *areas, size_t from, size_t to, double sum, double side)
{
	const double thick = sum / side;
	double ratio = 0;

	for (size_t i = from; i < to; i++) {
		const double length = areas[i] / thick, r = length > thick ? length / thick : thick / length;
		ratio = r > ratio ? r : ratio;
	}
	return ratio;
}

/* Place the areas [from, to) along the shorter side of @room. Returns what is left of it. */
static struct tfs_rectangle place(const double *areas, size_t from, size_t to, double sum, struct tfs_rectangle room,
				  struct tfs_rectangle *ret)
{
	const bool upright = room.width >= room.height;
	const double side = upright ? room.height : room.width, thick = sum / side;
	double at = 0;

	for (size_t i = from; i < to; i++) {
		const double length = areas[i] / thick;

		ret[i] = upright ? (struct tfs_rectangle){ room.x, room.y + at, thick, length } :
				   (struct tfs_rectangle){ room.x + at, room.y, length, thick };
		at += length;
	}
	if (upright)
		return (struct tfs_rectangle){ room.x + thick, room.y, room.width - thick, room.height };
	return (struct tfs_rectangle){ room.x, room.y + thick, room.width, room.height - thick };
}

void tfs_treemap(const double *areas, size_t n, struct tfs_rectangle room, struct tfs_rectangle *ret_rectangles)
{
	for (size_t from = 0, to; from < n; from = to) {
		const double side = room.width < room.height ? room.width : room.height;
		double sum = areas[from];

		to = from + 1;
		if (!(side > 0)) { /* rounding has used it up */
			ret_rectangles[from] = (struct tfs_rectangle){ room.x, room.y, 0, 0 };
			continue;
		}
		/* As long as the next one doesn't make the row worse. */
		while (to < n && worst(areas, from, to + 1, sum + areas[to], side) <= worst(areas, from, to, sum, side))
			sum += areas[to++];
		room = place(areas, from, to, sum, room, ret_rectangles);
	}
}
