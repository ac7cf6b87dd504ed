/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * contract.h - all that launcher, stages and tools must agree on: object names, ctl, wiring, commands, exit statuses
 *
 * Launcher and stages never include each other; they meet here. Changing the meaning of anything in this file, lane.h,
 * ledger.h or stats.h bumps SZ_ABI.
 *
 * How a worker comes to life
 *   1. The launcher creates its objects, writes its wiring into a sealed memfd, forks.
 *   2. The child makes itself a process group, asks for SIGUSR1 when the launcher dies (with SIGUSR1 blocked), makes the
 *      descriptors named in the wiring inheritable and execs the stage program with `--wiring=FD`.
 *   3. The runtime checks the wiring, locks its page, loads the committed slot, calls init, and says SZ_W_RUNNING by
 *      ringing the bell. Everything after that is data flow.
 * A worker exits 0 when its run state is SZ_RUN_ENDED, SZ_EXIT_STOPPED when it was told to stop, or else it has failed.
 */
#ifndef STREAMZ_CONTRACT_H
#define STREAMZ_CONTRACT_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <streamz/catalog.h>
#include <streamz/lane.h>
#include <streamz/ledger.h>
#include <streamz/stats.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SZ_ABI 1u

/*
 * The command line of a stage program: the built-in host, the host with a plug-in, or somebody's own executable
 *
 *   PROGRAM [--plugin=FILE.so] --describe
 *	prints its types, each by sz_type_write(), and exits 0.
 *   PROGRAM [--plugin=FILE.so] --check --wiring=FD
 *	The wiring holds type, stage, options, max_in, and no lanes; generation is 0 for a fresh start and more where
 *	the pipeline is resumed. The stage's plan() checks the options and says
 *	what the stage needs, on stdout, a line each, fields separated by tabs, values in decimal:
 *	   need  state|journal|arena|ring  NUMBER	bytes; for ring: entries, at least one request is used
 *	   need  room  NUMBER				records that one call may emit; every blocking edge has to hold
 *							as many (not said: one)
 *	   max_out  BYTES				longest record it may emit
 *	   counter  NAME  UNIT  HELP			a counter of its own, in slot order
 *	   claim  read|write  NAME			an exclusive thing: two writers, or a writer and a reader, of
 *							one NAME ("file:/a/b") in a graph are refused
 *	   size  BYTES					a source: how much there is to read
 *	   note  TEXT					worth saying at the start
 *	   error  OPTION  TEXT				a refusal; OPTION may be empty
 *	Exits 0, or SZ_EXIT_USAGE after at least one error line.
 *   PROGRAM [--plugin=FILE.so] --wiring=FD
 *	is the worker.
 *
 * Exit statuses of a stage program
 */
#define SZ_EXIT_ENDED 0 /* committed SZ_RUN_ENDED */
/* told to stop, or the launcher has died; the ledger says where to go on */
#define SZ_EXIT_STOPPED 75
#define SZ_EXIT_USAGE   100 /* bad arguments, options or wiring */
#define SZ_EXIT_SYSTEM  111 /* the system refused something */
#define SZ_EXIT_FAILED  125 /* the stage gave up: a restart would not help */

/* Sent by the launcher, and by the kernel when the launcher dies: look at ctl's command. Blocked across exec. */
#define SZ_ATTENTION_SIGNAL SIGUSR1

/*
 * Names: /streamz.PIPELINE.UID.ctl, .page.N, .stats.N (N: worker index), .lane.N
 */
#define SZ_OBJECT_PREFIX   "/streamz."
#define SZ_OBJECT_NAME_MAX 96

enum sz_object { SZ_OBJ_CTL, SZ_OBJ_PAGE, SZ_OBJ_STATS, SZ_OBJ_LANE };

/* Return: 0, -ENAMETOOLONG. The name starts with '/', as shm_open() wants it. */
int sz_object_name(char name[SZ_OBJECT_NAME_MAX], const char *pipeline, unsigned uid,
		   enum sz_object kind, unsigned index);

/*
 * ctl: the topology and the process table. w: launcher, all of it. Readers attach read-only.
 */
#define SZ_CTL_MAGIC 0x6c7463737a0001ull

enum sz_command {
	SZ_CMD_RUN = 0,
	SZ_CMD_DRAIN = 1, /* sources end; everything in flight goes on to the sinks */
	SZ_CMD_STOP = 2,  /* everybody commits and exits SZ_EXIT_STOPPED */
};

enum sz_pipeline_state {
	SZ_P_CREATING = 0, /* objects are being made: nothing in them counts */
	SZ_P_RUNNING = 1,
	SZ_P_DRAINING = 2,
	SZ_P_STOPPING = 3,
	SZ_P_ENDED = 4,   /* all stages ended; nothing is held */
	SZ_P_STOPPED = 5, /* stopped before its end; resumable */
	SZ_P_FAILED = 6,  /* a stage gave up; resumable */
};

/* Of a pipeline whose launcher is gone: is there something to go on with? */
static inline bool sz_pipeline_is_resumable(uint32_t state)
{
	return state != SZ_P_CREATING && state != SZ_P_ENDED;
}

enum sz_worker_state {
	SZ_W_NEW = 0,      /* not started yet in this run */
	SZ_W_STARTING = 1, /* forked; has not reported */
	SZ_W_RUNNING = 2,
	SZ_W_RECOVERING = 3, /* reaped; its recovery is running */
	SZ_W_BACKOFF = 4,    /* recovered; waits for its restart */
	SZ_W_ENDED = 5,      /* exited 0 with SZ_RUN_ENDED */
	SZ_W_STOPPED = 6,    /* exited SZ_EXIT_STOPPED, recovered */
	SZ_W_GAVE_UP = 7,    /* restart limits passed */
};

/* No further life in this run of the launcher, and the last one was recovered. */
static inline bool sz_worker_is_settled(uint32_t state)
{
	return state == SZ_W_ENDED || state == SZ_W_STOPPED || state == SZ_W_GAVE_UP;
}

enum sz_overflow { SZ_OVERFLOW_BLOCK = 0, SZ_OVERFLOW_DROP_NEWEST = 1 };

struct sz_ctl_stage {
	char name[40];
	char type[216]; /* as written in the graph */
	uint32_t role;  /* enum sz_role */
	uint32_t first_worker, n_workers;
	uint32_t implicit; /* 1: added by the planner (quarantine) */
};

struct sz_ctl_worker {
	uint32_t stage, number; /* number: within its stage */
	uint32_t state;         /* enum sz_worker_state */
	int32_t pid;            /* 0: none */
	uint32_t generation;    /* lives so far */
	uint32_t restarts;      /* in this run of the launcher */
	int32_t death_status;   /* of the last life, as waitpid() gives it; 0 before */
	uint32_t zero;
	uint64_t death_time_ns; /* CLOCK_REALTIME, 0: none */
};

struct sz_ctl_edge {
	uint32_t from_stage, to_stage;
	char port[40];     /* "": the default port */
	uint32_t overflow; /* enum sz_overflow */
	uint32_t first_lane, n_lanes;
	uint32_t max_record;
};

struct sz_ctl_lane {
	uint32_t edge;
	uint32_t producer, consumer;        /* worker indices */
	uint32_t producer_out, consumer_in; /* index of the lane in their slots */
	uint32_t producer_edge;             /* index of the edge among its producer's edges */
	uint64_t cap_bytes;
};

struct sz_ctl {
	uint64_t magic;
	uint32_t abi;
	uint32_t uid;
	uint64_t object_bytes;
	uint32_t n_stages, n_workers, n_edges, n_lanes;
	uint64_t stages_at, workers_at, edges_at, lanes_at;
	uint64_t shape;    /* hash of names, types and edges: what a resume must find unchanged */
	uint64_t start_ns; /* CLOCK_REALTIME of the first start */
	char pipeline[40];
	char graph[512]; /* file the graph was read from */
	/* changing */
	uint32_t state;   /* enum sz_pipeline_state */
	uint32_t command; /* enum sz_command */
	int32_t launcher_pid;
	uint32_t runs; /* launcher runs: 1, and +1 a resume */
};

#define SZ_CTL_STAGES(c) \
	((struct sz_ctl_stage *)(void *)((uint8_t *)(uintptr_t)(c) + (c)->stages_at))
#define SZ_CTL_WORKERS(c) \
	((struct sz_ctl_worker *)(void *)((uint8_t *)(uintptr_t)(c) + (c)->workers_at))
#define SZ_CTL_EDGES(c) ((struct sz_ctl_edge *)(void *)((uint8_t *)(uintptr_t)(c) + (c)->edges_at))
#define SZ_CTL_LANES(c) ((struct sz_ctl_lane *)(void *)((uint8_t *)(uintptr_t)(c) + (c)->lanes_at))

#define SZ_STAGES_MAX      1000u
#define SZ_WORKERS_MAX     2000u
#define SZ_EDGES_MAX       4000u
#define SZ_LANES_TOTAL_MAX 16000u

/* Size of a ctl object, with all offsets filled in: set the four counts first. */
uint64_t sz_ctl_layout(struct sz_ctl *c);
/* Is what lies at c, bytes long, a ctl whose offsets and counts can be trusted? Return: 0, -EBADMSG. */
int sz_ctl_check(const struct sz_ctl *c, uint64_t bytes);

/*
 * Counters of a worker: SZ_C_FIXED, then SZ_E_FIXED an edge, then the stage's own. What was consumed and published a
 * lane stands in the slot's marks. Gauges follow in the statistics only.
 */
static inline uint32_t sz_counter_count(uint32_t n_edges, uint32_t n_own)
{
	return SZ_C_FIXED + n_edges * SZ_E_FIXED + n_own;
}

static inline uint32_t sz_counter_edge(uint32_t edge, enum sz_edge_counter c)
{
	return SZ_C_FIXED + edge * SZ_E_FIXED + (uint32_t)c;
}

/* Fill in a worker's descriptors: sz_counter_count() + SZ_G_FIXED of them. Return: how many. */
uint32_t sz_stats_describe(struct sz_stat_desc *desc, uint32_t n_edges,
			   const struct sz_stat_desc *own, uint32_t n_own);

/*
 * Wiring: what one worker is told at its start. Offsets are from the start of the wiring; strings are NUL-terminated.
 */
#define SZ_WIRING_MAGIC 0x676e697277737a01ull
#define SZ_WIRING_MAX   (16u << 20)

/* user_data of requests whose completion nobody looks at: the launcher's cancellations. */
#define SZ_RING_IGNORE UINT64_MAX

#define SZ_WIRE_SPIN  (1u << 0) /* every process has a core of its own: spinning may pay */
#define SZ_WIRE_PLAIN (1u << 1) /* no io_uring: use plain system calls */

struct sz_wire_lane {
	int32_t fd;
	uint32_t lane_index;
	uint32_t edge; /* outputs: index into the worker's edges */
	uint32_t peer; /* string: name of the stage at the other end */
};

struct sz_wire_edge {
	uint32_t port; /* string, "" the default port */
	uint32_t overflow;
	uint32_t first_out, n_out;
};

struct sz_wire_option {
	uint32_t key, value; /* strings */
	uint32_t value_len;
	uint32_t zero;
};

struct sz_wiring {
	uint64_t magic;
	uint32_t abi;
	uint32_t bytes;
	uint32_t pipeline, stage, type; /* strings */
	uint32_t role; /* enum sz_role: a type such as file is both a source and a sink */
	uint32_t worker_index, worker, n_workers, generation, flags;
	uint32_t zero;
	int32_t launcher_pid;
	int32_t ctl_fd; /* read-only */
	int32_t page_fd, stats_fd;
	int32_t bell_fd;          /* eventfd of the launcher: look at my page */
	int32_t ring_fd;          /* io_uring instance, -1: none */
	uint32_t ring_params;     /* struct io_uring_params as the launcher got it */
	uint32_t max_in, max_out; /* longest record it can get and may emit */
	uint64_t seed;
	uint32_t n_in, n_out, n_edges, n_options;
	uint32_t in_at, out_at, edges_at, options_at;
};

struct sz_wire_builder; /* grows a wiring */
struct sz_wire_builder *sz_wire_new(void);
void sz_wire_free(struct sz_wire_builder *b);
/* The fixed part, to be filled in. Valid until the next call on b. */
struct sz_wiring *sz_wire_head(struct sz_wire_builder *b);
/* Append bytes, 8-aligned. Return: the offset; 0 after a failure, which is remembered until sz_wire_finish(). */
uint32_t sz_wire_put(struct sz_wire_builder *b, const void *bytes, size_t len);
/* Append text and a NUL; @len does not count it. Return: as sz_wire_put(), 0 on failure. */
uint32_t sz_wire_string(struct sz_wire_builder *b, const char *text, size_t len);
/* Write to a sealed memfd, CLOEXEC. Return: the descriptor, -ENOMEM, -E2BIG, -errno. */
int sz_wire_finish(struct sz_wire_builder *b);

/**
 * sz_wiring_attach() - map and check a wiring
 * @fd:		from sz_wire_finish(); may be closed afterwards
 * @out:	read-only, lies there until munmap(@out, @out->bytes); a worker keeps it for its life
 *
 * Return: 0; -EBADMSG: not a wiring of this ABI, or an offset in it leads nowhere; -errno of fstat or mmap.
 */
int sz_wiring_attach(int fd, const struct sz_wiring **out);
static inline const char *sz_wire_text(const struct sz_wiring *w, uint32_t at)
{
	return (const char *)w + at;
}
static inline const void *sz_wire_at(const struct sz_wiring *w, uint32_t at)
{
	return (const uint8_t *)w + at;
}

#ifdef __cplusplus
}
#endif
#endif
