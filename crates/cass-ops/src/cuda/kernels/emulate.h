// CUDA's words for a C compiler, so that tests run the kernels without a GPU. A block is BLOCK fibers on one thread: one runs until it
// waits, then the next, in rising and falling order by turns, so that a missing barrier changes a result. With -DTHREADS it
// is BLOCK threads instead: ThreadSanitizer then names the line that misses one.
#define _GNU_SOURCE
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#ifdef THREADS
#include <pthread.h>
#define OF_BLOCK static
#else
#include <setjmp.h>
#include <ucontext.h>
#define OF_BLOCK static _Thread_local
#endif

#define BLOCK 256
#define WARP 32
#define WARPS (BLOCK / WARP)
typedef unsigned long long usize;
typedef struct { unsigned x, y; } place_;
static _Thread_local place_ threadIdx, blockIdx, gridDim;

#define HELPER static inline
#define INFINITE INFINITY
#define BARRIER() wait_(AT_BLOCK)
#define SHUFFLE_XOR(v, d) ((REAL)shuffle_((double)(v), (unsigned)(d)))
// Shared memory begins as NaN in every block: what is read before it is written is seen.
#define SHARED(type, name, count)                                                                                      \
    OF_BLOCK type name[count];                                                                                         \
    poison_(name, sizeof name)

enum { READY, AT_WARP, AT_BLOCK, DONE };
// What a launch can come to.
enum { FINE, OTHER_ARGUMENT, DIVERGENT_SHUFFLE, DIVERGENT_BARRIER };
OF_BLOCK double exchange_[BLOCK];

#ifdef THREADS

static pthread_mutex_t launch_ = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t block_, warps_[WARPS];
typedef struct { void (*body)(const void *); const void *args; unsigned t; place_ grid; } run_;

static void wait_(int what) {
    pthread_barrier_wait(what == AT_BLOCK ? &block_ : &warps_[threadIdx.x / WARP]);
}

static void poison_(void *at, size_t size) { (void)at, (void)size; }

static void *thread_(void *given) {
    run_ *run = given;
    threadIdx.x = run->t;
    gridDim = run->grid;
    for (blockIdx.y = 0; blockIdx.y < gridDim.y; blockIdx.y++)
        for (blockIdx.x = 0; blockIdx.x < gridDim.x; blockIdx.x++) {
            run->body(run->args);
            pthread_barrier_wait(&block_);
        }
    return 0;
}

static int emulate_(void (*body)(const void *), const void *args, unsigned x, unsigned y) {
    static pthread_t threads[BLOCK];
    static run_ runs[BLOCK];
    pthread_mutex_lock(&launch_);
    pthread_barrier_init(&block_, 0, BLOCK);
    for (unsigned w = 0; w < WARPS; w++) pthread_barrier_init(&warps_[w], 0, WARP);
    for (unsigned t = 0; t < BLOCK; t++) {
        runs[t] = (run_){body, args, t, {x, y}};
        pthread_create(&threads[t], 0, thread_, &runs[t]);
    }
    for (unsigned t = 0; t < BLOCK; t++) pthread_join(threads[t], 0);
    pthread_mutex_unlock(&launch_);
    return FINE;
}

#else

enum { STACK = 1 << 16 };
static _Thread_local jmp_buf scheduler_, fibers_[BLOCK];
static _Thread_local char *stacks_;
static _Thread_local int state_[BLOCK], fresh_, falling_, made_;
static _Thread_local void (*body_)(const void *);
static _Thread_local const void *args_;

static void wait_(int what) {
    unsigned t = threadIdx.x;
    state_[t] = what;
    if (!_setjmp(fibers_[t])) _longjmp(scheduler_, 1);
}

// The first fiber of a block runs alone until it waits.
static void poison_(void *at, size_t size) {
    if (fresh_ == (int)threadIdx.x) memset(at, 0xff, size);
}

// A fiber takes its place in one block after another.
static void fiber_(void) {
    for (;;) {
        wait_(DONE);
        body_(args_);
    }
}

static void resume_(unsigned t) {
    threadIdx.x = t;
    if (!_setjmp(scheduler_)) _longjmp(fibers_[t], 1);
}

// Starts all fibers, each up to where it waits for its first block.
static void make_fibers_(void) {
    static _Thread_local ucontext_t fibers[BLOCK];
    if (!stacks_) stacks_ = malloc((size_t)BLOCK * STACK);
    for (unsigned t = 0; t < BLOCK; t++) {
        getcontext(&fibers[t]);
        fibers[t].uc_stack.ss_sp = stacks_ + (size_t)t * STACK;
        fibers[t].uc_stack.ss_size = STACK;
        makecontext(&fibers[t], fiber_, 0);
        threadIdx.x = t;
        if (!_setjmp(scheduler_)) setcontext(&fibers[t]);
    }
    made_ = 1;
}

// Lets those continue that wait for each other, where all are there that must be.
static int release_(void) {
    int any = 0, at_block = 0, done = 0;
    for (unsigned w = 0; w < WARPS; w++) {
        unsigned at[4] = {0};
        for (unsigned t = w * WARP; t < (w + 1) * WARP; t++) at[state_[t]]++;
        at_block += at[AT_BLOCK];
        done += at[DONE];
        if (!at[AT_WARP]) continue;
        if (at[AT_WARP] < WARP) return DIVERGENT_SHUFFLE;
        for (unsigned t = w * WARP; t < (w + 1) * WARP; t++) state_[t] = READY;
        any = 1;
    }
    if (any || !at_block) return FINE;
    if (done) return DIVERGENT_BARRIER;
    for (unsigned t = 0; t < BLOCK; t++) state_[t] = READY;
    falling_ = !falling_;
    return FINE;
}

static int run_block_(void) {
    unsigned live = BLOCK;
    fresh_ = falling_ ? BLOCK - 1 : 0;
    for (unsigned t = 0; t < BLOCK; t++) state_[t] = READY;
    while (live) {
        for (unsigned k = 0; k < BLOCK; k++) {
            unsigned t = falling_ ? BLOCK - 1 - k : k;
            if (state_[t] != READY) continue;
            resume_(t);
            live -= state_[t] == DONE;
        }
        int what = release_();
        if (what != FINE) return what;
    }
    falling_ = !falling_;
    return FINE;
}

static int emulate_(void (*body)(const void *), const void *args, unsigned x, unsigned y) {
    if (!made_) make_fibers_();
    body_ = body;
    args_ = args;
    gridDim = (place_){x, y};
    for (blockIdx.y = 0; blockIdx.y < y; blockIdx.y++)
        for (blockIdx.x = 0; blockIdx.x < x; blockIdx.x++) {
            int what = run_block_();
            if (what == FINE) continue;
            made_ = 0; // some wait in the middle of a kernel
            return what;
        }
    return FINE;
}

#endif

static double shuffle_(double v, unsigned d) {
    unsigned t = threadIdx.x;
    exchange_[t] = v;
    wait_(AT_WARP);
    v = exchange_[t ^ d];
    wait_(AT_WARP);
    return v;
}

#define KERNEL(name, Struct)                                                                                           \
    static void TYPED(name##_body)(const TYPED(Struct) a);                                                             \
    static void TYPED(name##_thread)(const void *args) { TYPED(name##_body)(*(const TYPED(Struct) *)args); }           \
    int TYPED(name)(const void *args, usize size, unsigned x, unsigned y) {                                            \
        if (size != sizeof(TYPED(Struct))) return OTHER_ARGUMENT;                                                      \
        return emulate_(TYPED(name##_thread), args, x, y);                                                             \
    }                                                                                                                  \
    static void TYPED(name##_body)(const TYPED(Struct) a)
