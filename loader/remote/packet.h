/* SPDX-License-Identifier: MIT */
/* Sending and receiving the messages of remote/protocol.h. */
#ifndef TFS_REMOTE_PACKET_H
#define TFS_REMOTE_PACKET_H

#include <stddef.h>

#include "remote/protocol.h"

/* What a fetcher may send. */
struct tfs_packet {
	union {
		struct tfs_fetch_header h;
		struct tfs_fetch_welcome welcome;
		struct tfs_fetch_listed listed;
		struct tfs_fetch_done done;
		char bytes[sizeof(struct tfs_fetch_listed) + TFS_FETCH_MAX_TEXT + 1]; /* with a NUL */
	};
	size_t len;
	int fd; /* -1: none */
};

/* Send @size bytes at @message, then its text, and @fd unless it is -1. 0 or -errno. */
int tfs_packet_send(int socket, void *message, size_t size, const char *text, int fd);

/* 0: the caller closes p->fd; -ECONNRESET: the other side is gone; -EPROTO: it breaks the rules, and p->fd may have to be closed, too. */
int tfs_packet_receive(int socket, struct tfs_packet *p);

/* The text of @p, whose struct has @size bytes, NUL-terminated; NULL if it isn't such a message. */
const char *tfs_packet_text(struct tfs_packet *p, size_t size);

#endif
