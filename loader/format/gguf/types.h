/* SPDX-License-Identifier: MIT */
/* The types of ggml's tensors by their number (ggml.h, enum ggml_type): GGUF's, and those of the formats before it. */
#ifndef TFS_FORMAT_GGUF_TYPES_H
#define TFS_FORMAT_GGUF_TYPES_H

#include <stdint.h>

/* Numbers from here on aren't assigned. */
enum { TFS_GGML_TYPES = 43 };

/* The name of the built-in dtype; NULL: no such type. */
const char *tfs_ggml_type_name(uint32_t type);

#endif
