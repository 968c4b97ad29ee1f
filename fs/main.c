#define FUSE_USE_VERSION 318
#include <fuse_lowlevel.h>
#include <stdio.h>
#include "config.h"

int main(void)
{
	printf("tensorfs %s, libfuse %d %s\n", TFS_VERSION, fuse_version(), fuse_pkgversion());
	return 0;
}
