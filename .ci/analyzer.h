/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * analyzer.h - included before each source that clang-tidy reads (make tidy)
 *
 * Here functions return -errno, and the analyzer thinks that it may be 0 after a failed call: it then follows the caller
 * down the path of success with nothing set. So errno is one error or the other, but an error.
 */
#include <errno.h>
#undef errno
extern int analyzer_any(void);
#define errno                                                                    \
	(*__extension__({                                                        \
		static int errno_;                                               \
		errno_ = analyzer_any() ? EINTR : analyzer_any() ? ENOENT : EIO; \
		&errno_;                                                         \
	}))
