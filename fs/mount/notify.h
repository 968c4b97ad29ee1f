/* SPDX-License-Identifier: MIT */
/* Tells the service manager, systemd or another, how the service is doing: the protocol of sd_notify(3). */
#ifndef TFS_FS_NOTIFY_H
#define TFS_FS_NOTIFY_H

/* A descriptor of the socket that $NOTIFY_SOCKET names; -1: no service manager waits, or there is no such socket, which is logged. */
int tfs_notify_open(void);

/* Send @state, lines such as "READY=1". See sd_notify(3). Does nothing if @fd is -1; logs what fails. */
void tfs_notify(int fd, const char *state);

/* Tell it that @model is mounted on @mountpoint. */
void tfs_notify_ready(int fd, const char *model, const char *mountpoint);

#endif
