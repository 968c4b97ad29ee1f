/* SPDX-License-Identifier: MIT */
/*
 * Doubly linked intrusive lists: an item embeds a struct tfs_list for each list that it may be in. A head is a struct tfs_list,
 * too, but in no item; so a list is a ring. Locking is up to the caller.
 */
#ifndef TFS_BASE_LIST_H
#define TFS_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/container.h"

struct tfs_list {
	struct tfs_list *prev, *next;
};

/* Initialise an empty head, or a link that is in no list. */
static inline void tfs_list_init(struct tfs_list *l)
{
	l->prev = l->next = l;
}

/* Is the list of an initialised head empty, or an initialised link in no list? */
static inline bool tfs_list_is_empty(const struct tfs_list *l)
{
	return l->next == l;
}

/* Insert @link, which needn't be initialised, before @at: last if that is the head. */
static inline void tfs_list_add(struct tfs_list *at, struct tfs_list *link)
{
	link->next = at;
	link->prev = at->prev;
	link->prev->next = at->prev = link;
}

/* Insert @link after @at: first if that is the head. */
static inline void tfs_list_add_first(struct tfs_list *at, struct tfs_list *link)
{
	tfs_list_add(at->next, link);
}

/* Remove @link, which is initialised afterwards. Does nothing if it is in no list. */
static inline void tfs_list_remove(struct tfs_list *link)
{
	link->prev->next = link->next;
	link->next->prev = link->prev;
	tfs_list_init(link);
}

/* Move all of @from, which is left empty, to the end of @to. */
static inline void tfs_list_take(struct tfs_list *to, struct tfs_list *from)
{
	if (tfs_list_is_empty(from))
		return;
	from->prev->next = to;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	to->prev = from->prev;
	tfs_list_init(from);
}

static inline void *tfs_list_item_(const struct tfs_list *head, const struct tfs_list *link, size_t offset)
{
	return link == head ? NULL : tfs_container_(link, offset);
}

/* The first or last item in @head's list; NULL: it is empty. */
#define tfs_list_first(head, type, member) ((type *)tfs_list_item_(head, (head)->next, offsetof(type, member)))
#define tfs_list_last(head, type, member)  ((type *)tfs_list_item_(head, (head)->prev, offsetof(type, member)))

/* The item after or before @i in @head's list, or NULL. */
#define tfs_list_next(head, i, member) ((__typeof__(i))tfs_list_item_(head, (i)->member.next, offsetof(__typeof__(*(i)), member)))
#define tfs_list_prev(head, i, member) ((__typeof__(i))tfs_list_item_(head, (i)->member.prev, offsetof(__typeof__(*(i)), member)))

/* For each @type *@i in @head's list. The body may remove or free @i, but not the item after it. */
#define tfs_list_each(type, i, head, member)                                                                         \
	for (type *i = tfs_list_first(head, type, member), *i##_next = i ? tfs_list_next(head, i, member) : NULL; i; \
	     i = i##_next, i##_next = i ? tfs_list_next(head, i, member) : NULL)

#endif
