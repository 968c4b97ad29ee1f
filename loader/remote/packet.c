/* SPDX-License-Identifier: MIT */
#include "remote/packet.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

int tfs_packet_send(int socket, void *message, size_t size, const char *text, int fd)
{
	struct tfs_fetch_header *h = message;
	struct iovec iov[] = { { message, size }, { (char *)text, h->text_len } };
	union {
		struct cmsghdr h;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = h->text_len ? 2 : 1 };
	ssize_t n;

	if (fd >= 0) {
		m.msg_control = &control;
		m.msg_controllen = sizeof control;
		control.h = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof fd), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
		memcpy(CMSG_DATA(&control.h), &fd, sizeof fd);
	}
	do
		n = sendmsg(socket, &m, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

int tfs_packet_receive(int socket, struct tfs_packet *p)
{
	struct iovec iov = { p->bytes, sizeof p->bytes - 1 };
	union {
		struct cmsghdr h;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
	ssize_t n;

	do
		n = recvmsg(socket, &m, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return -ECONNRESET;
	p->fd = -1;
	p->len = (size_t)n;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(int)))
			memcpy(&p->fd, CMSG_DATA(c), sizeof p->fd);
	return m.msg_flags & (MSG_TRUNC | MSG_CTRUNC) || p->len < sizeof p->h ? -EPROTO : 0;
}

const char *tfs_packet_text(struct tfs_packet *p, size_t size)
{
	if (p->len < size || p->len - size != p->h.text_len)
		return NULL;
	p->bytes[p->len] = '\0';
	return p->bytes + size;
}
