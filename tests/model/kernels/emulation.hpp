// CUDA's words for a host compiler: a block's threads are fibers that take turns at __syncthreads().
#include <cmath>
#include <cstring>
#include <ucontext.h>
#include <vector>

#define __device__
#define __global__
#define __forceinline__ inline
#define __shared__ static

struct Index {
    int x, y, z;
};
static Index threadIdx, blockIdx;

static inline float __uint_as_float(unsigned bits) {
    float value;
    std::memcpy(&value, &bits, 4);
    return value;
}
static inline unsigned __float_as_uint(float value) {
    unsigned bits;
    std::memcpy(&bits, &value, 4);
    return bits;
}

static ucontext_t scheduler, fibers[FT_THREADS];
static bool is_done[FT_THREADS];
static void (*body)();
static std::vector<char> stacks[FT_THREADS];

static void __syncthreads() { swapcontext(&fibers[threadIdx.x], &scheduler); }

static void run_fiber() {
    body();
    is_done[threadIdx.x] = true;
}

// One block: every thread up to its next barrier in turn, until all are done.
static void run_block() {
    for (int t = 0; t < FT_THREADS; ++t) {
        stacks[t].resize(1 << 16);
        getcontext(&fibers[t]);
        fibers[t].uc_stack.ss_sp = stacks[t].data();
        fibers[t].uc_stack.ss_size = stacks[t].size();
        fibers[t].uc_link = &scheduler;
        is_done[t] = false;
        makecontext(&fibers[t], run_fiber, 0);
    }
    for (bool running = true; running;) {
        running = false;
        for (int t = 0; t < FT_THREADS; ++t) {
            if (is_done[t]) continue;
            threadIdx.x = t;
            swapcontext(&scheduler, &fibers[t]);
            running = running || !is_done[t];
        }
    }
}

static void run_grid(int num_x, int num_y, void (*kernel)()) {
    body = kernel;
    for (blockIdx.y = 0; blockIdx.y < num_y; ++blockIdx.y)
        for (blockIdx.x = 0; blockIdx.x < num_x; ++blockIdx.x) run_block();
}
