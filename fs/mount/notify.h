/* SPDX-License-Identifier: MIT */
/* Tells the service manager, systemd or another, how the service is doing: the protocol of sd_notify(3). */
#ifndef TFS_FS_NOTIFY_H
#define TFS_FS_NOTIFY_H

/*
 * Send @state, lines such as "READY=1", to the socket that $NOTIFY_SOCKET names. Does nothing if no service manager waits for it;
 * a failure is logged, as the service manager will report that it got nothing.
 */
void tfs_notify(const char *state);

#endif
