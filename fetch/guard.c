/* SPDX-License-Identifier: MIT */
#include "fetch/guard.h"

#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* IANA's registries of special-purpose addresses (RFC 6890); what isn't one host on the internet counts as private. */
static enum tfs_reach reach4(uint32_t a)
{
	static const struct {
		uint32_t net;
		unsigned bits;
		enum tfs_reach reach;
	} nets[] = {
		{ 0x00000000, 8, TFS_REACH_LOOPBACK },	  /* 0.0.0.0/8: this host */
		{ 0x7f000000, 8, TFS_REACH_LOOPBACK },	  /* 127.0.0.0/8 */
		{ 0xa9fe0000, 16, TFS_REACH_LINK_LOCAL }, /* 169.254.0.0/16 */
		{ 0x0a000000, 8, TFS_REACH_PRIVATE },	  /* 10.0.0.0/8 */
		{ 0x64400000, 10, TFS_REACH_PRIVATE },	  /* 100.64.0.0/10: carrier's NAT, and clouds' services */
		{ 0xac100000, 12, TFS_REACH_PRIVATE },	  /* 172.16.0.0/12 */
		{ 0xc0000000, 24, TFS_REACH_PRIVATE },	  /* 192.0.0.0/24 */
		{ 0xc0a80000, 16, TFS_REACH_PRIVATE },	  /* 192.168.0.0/16 */
		{ 0xc6120000, 15, TFS_REACH_PRIVATE },	  /* 198.18.0.0/15: benchmarks */
		{ 0xe0000000, 3, TFS_REACH_PRIVATE },	  /* multicast, reserved, broadcast */
	};

	for (size_t i = 0; i < sizeof nets / sizeof *nets; i++)
		if (nets[i].bits && a >> (32 - nets[i].bits) == nets[i].net >> (32 - nets[i].bits))
			return nets[i].reach;
	return TFS_REACH_PUBLIC;
}

static uint32_t in4(const uint8_t *b)
{
	return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static enum tfs_reach reach6(const uint8_t *b)
{
	static const uint8_t zero[16], mapped[12] = { [10] = 0xff, [11] = 0xff }, nat64[12] = { 0, 0x64, 0xff, 0x9b };

	if (!memcmp(b, mapped, 12) || !memcmp(b, nat64, 12))
		return reach4(in4(b + 12));
	if (!memcmp(b, zero, 15) && b[15] <= 1)
		return TFS_REACH_LOOPBACK; /* :: and ::1 */
	if (!memcmp(b, zero, 12))
		return reach4(in4(b + 12)); /* IPv4-compatible, deprecated */
	if (b[0] == 0x20 && b[1] == 0x02)
		return reach4(in4(b + 2)); /* 6to4 */
	if (b[0] == 0xfe && (b[1] & 0xc0) == 0x80)
		return TFS_REACH_LINK_LOCAL; /* fe80::/10 */
	if ((b[0] & 0xe0) != 0x20)
		return TFS_REACH_PRIVATE; /* all but 2000::/3: unique local, site local, multicast */
	return TFS_REACH_PUBLIC;
}

enum tfs_reach tfs_guard_reach(const struct sockaddr *address)
{
	struct sockaddr_in6 in6;
	struct sockaddr_in in;

	switch (address->sa_family) {
	case AF_INET:
		memcpy(&in, address, sizeof in);
		return reach4(ntohl(in.sin_addr.s_addr));
	case AF_INET6:
		memcpy(&in6, address, sizeof in6);
		return reach6(in6.sin6_addr.s6_addr);
	default:
		return TFS_REACH_LOOPBACK;
	}
}

static unsigned port_of(const struct sockaddr *address)
{
	struct sockaddr_in6 in6;
	struct sockaddr_in in;

	if (address->sa_family == AF_INET) {
		memcpy(&in, address, sizeof in);
		return ntohs(in.sin_port);
	}
	if (address->sa_family == AF_INET6) {
		memcpy(&in6, address, sizeof in6);
		return ntohs(in6.sin6_port);
	}
	return 0;
}

/* The port of the proxy for @url by the environment, as libcurl reads it; 0: none. */
static unsigned proxy_port(const struct tfs_url *url)
{
	static const char *const https[] = { "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", NULL };
	static const char *const http[] = { "http_proxy", "all_proxy", "ALL_PROXY", NULL };
	const char *const *name = tfs_url_is_tls(url) ? https : http;
	const char *value = NULL, *port;

	for (; *name && !(value && *value); name++)
		value = getenv(*name);
	if (!value || !*value)
		return 0;
	port = strrchr(value, ':');
	if (port && port[1] >= '0' && port[1] <= '9')
		return (unsigned)strtoul(port + 1, NULL, 10);
	return !strncmp(value, "https:", 6) ? 443 : 1080; /* libcurl's defaults */
}

bool tfs_guard_allows(struct tfs_guard *g, const struct tfs_url *url, enum tfs_trust trust, const struct sockaddr *address)
{
	enum tfs_reach reach = tfs_guard_reach(address);
	unsigned proxy = proxy_port(url);

	if (proxy && proxy == port_of(address))
		return true;
	if (trust == TFS_TRUST_THIS)
		return true;
	if (trust == TFS_TRUST_ORIGIN) {
		g->origin |= 1u << reach;
		return true;
	}
	if (reach == TFS_REACH_PUBLIC || g->origin & 1u << reach)
		return true;
	/* Who is mounted from this machine itself may name its private network, too: there is nothing between them. */
	return reach == TFS_REACH_PRIVATE && g->origin & 1u << TFS_REACH_LOOPBACK;
}

const char *tfs_guard_name(enum tfs_reach reach)
{
	switch (reach) {
	case TFS_REACH_LOOPBACK:
		return "an address of this machine";
	case TFS_REACH_LINK_LOCAL:
		return "a link-local address";
	case TFS_REACH_PRIVATE:
		return "a private address";
	default:
		return "a public address";
	}
}
