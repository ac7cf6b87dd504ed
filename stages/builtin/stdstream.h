/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stdstream.h - standard input and output: pipes, terminals, or files, from one life to the next
 *
 * A file is read and written at offsets of our own: the kernel moves a file's position some time after the bytes, and a
 * kill in between would read them twice or put the next ones over them. Position p of the stream is byte base + p of
 * the file. A resumed pipeline may have been given another descriptor: then the stream goes on where that one stands.
 */
#ifndef STREAMZ_BUILTIN_STDSTREAM_H
#define STREAMZ_BUILTIN_STDSTREAM_H

#include <streamz/stage.h>

/* Part of a stage's state. */
struct stdstream {
	uint64_t dev, ino;
	uint64_t base; /* may be below 0, modulo 2^64 */
	uint32_t known;
	uint32_t positional; /* a file, and not opened for appending */
};

/**
 * stdstream_open() - begin a life
 * @passed:	bytes of the stream that have been read or written, committed
 *
 * Return: 0, or a negative errno with sz_error() set.
 */
int stdstream_open(struct sz_stage *s, struct stdstream *st, int fd, uint64_t passed);

#endif
