// What ATen leaves unfused in a decode step: six small kernels. They need no header.
//
//   T           a number as it lies in memory: float, or bfloat16 with FT_BF16; arithmetic is in float, and results are
//               rounded to T where PyTorch's own operators round them
//   FT_THREADS  threads of a block. A row belongs to one block and its sum has one order, so a row's bits hang neither
//               on how many rows there are nor on what stands in them
//
// Compile with --fmad=false: a product and a sum are rounded one after the other, as two operators of PyTorch do it.

#ifdef FT_BF16
typedef unsigned short T;

__device__ __forceinline__ float as_float(T value) { return __uint_as_float(((unsigned)value) << 16); }

__device__ __forceinline__ T as_stored(float value) {  // to the nearest, ties to even
    unsigned bits = __float_as_uint(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return (T)((bits >> 16) | 0x40u);  // a NaN stays one
    return (T)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}
#else
typedef float T;

__device__ __forceinline__ float as_float(T value) { return value; }

__device__ __forceinline__ T as_stored(float value) { return value; }
#endif

__device__ __forceinline__ float rounded(float value) { return as_float(as_stored(value)); }

// The sum of one number per thread, by halves: the same order whatever the grid. All threads get it.
__device__ __forceinline__ float block_sum(float part) {
    __shared__ float parts[FT_THREADS];
    parts[threadIdx.x] = part;
    __syncthreads();
    for (int half = FT_THREADS / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) parts[threadIdx.x] += parts[threadIdx.x + half];
        __syncthreads();
    }
    float sum = parts[0];
    __syncthreads();  // parts may be written again
    return sum;
}

__device__ __forceinline__ float inverse_rms(float square_sum, int width, float eps) {
    return 1.0f / sqrtf(square_sum / (float)width + eps);
}

// sum = x + y, normed = RMSNorm(sum). One block per row of `width` numbers.
extern "C" __global__ void ft_add_rms_norm(
    const T* x, const T* y, const T* weight, T* sum, T* normed, int width, float eps
) {
    long long row = (long long)blockIdx.x * width;
    float squares = 0.0f;
    for (int i = threadIdx.x; i < width; i += FT_THREADS) {
        T total = as_stored(as_float(x[row + i]) + as_float(y[row + i]));
        sum[row + i] = total;
        squares += as_float(total) * as_float(total);
    }
    float scale = inverse_rms(block_sum(squares), width, eps);
    for (int i = threadIdx.x; i < width; i += FT_THREADS)
        normed[row + i] = as_stored(as_float(sum[row + i]) * scale * as_float(weight[i]));
}

// The middle block's two inputs: RMSNorm(x) and RMSNorm(x + R), where R is row code of the table, or 0 for a code of -1.
extern "C" __global__ void ft_free_dual_norm(
    const T* x, const long long* codes, const T* table, const T* weight, T* normed, T* kv_normed, int width, float eps
) {
    long long row = (long long)blockIdx.x * width;
    long long code = codes[blockIdx.x];
    const T* R = table + (code < 0 ? 0 : code) * width;
    float squares = 0.0f, kv_squares = 0.0f;
    for (int i = threadIdx.x; i < width; i += FT_THREADS) {
        float plain = as_float(x[row + i]);
        float kv = code < 0 ? plain : rounded(plain + as_float(R[i]));
        squares += plain * plain;
        kv_squares += kv * kv;
    }
    float scale = inverse_rms(block_sum(squares), width, eps);
    float kv_scale = inverse_rms(block_sum(kv_squares), width, eps);
    for (int i = threadIdx.x; i < width; i += FT_THREADS) {
        float plain = as_float(x[row + i]);
        float kv = code < 0 ? plain : rounded(plain + as_float(R[i]));
        normed[row + i] = as_stored(plain * scale * as_float(weight[i]));
        kv_normed[row + i] = as_stored(kv * kv_scale * as_float(weight[i]));
    }
}

// One pair (i, i + d/2) of a head, turned.
__device__ __forceinline__ void turn_pair(const T* head, const T* cosines, const T* sines, T* turned, int i, int half) {
    float first = as_float(head[i]), second = as_float(head[i + half]);
    turned[i] = as_stored(rounded(first * as_float(cosines[i])) + rounded(-second * as_float(sines[i])));
    turned[i + half] =
        as_stored(rounded(second * as_float(cosines[i + half])) + rounded(first * as_float(sines[i + half])));
}

// Queries turned into turned_q (B, N, T, d); keys turned and values as they are into the caches at `indices` (B, T).
// q (B, T, N, d), k and v (B, T, G, d); cosines and sines (B or 1, T, d); caches (rows, G, S, d), in elements of stride
// row_stride and head_stride. One block per token.
extern "C" __global__ void ft_rope_kv_write(
    const T* q, const T* k, const T* v, const T* cosines, const T* sines, const long long* indices, T* turned_q,
    T* keys, T* values, int num_tokens, int num_heads, int num_kv_heads, int head_dim, int rotation_rows,
    long long row_stride, long long head_stride
) {
    int half = head_dim / 2, t = blockIdx.x % num_tokens, b = blockIdx.x / num_tokens;
    long long token = blockIdx.x;
    long long angle = ((long long)(rotation_rows == 1 ? 0 : b) * num_tokens + t) * head_dim;
    for (int pair = threadIdx.x; pair < num_heads * half; pair += FT_THREADS) {
        int head = pair / half, i = pair % half;
        turn_pair(
            q + (token * num_heads + head) * head_dim, cosines + angle, sines + angle,
            turned_q + (((long long)b * num_heads + head) * num_tokens + t) * head_dim, i, half
        );
    }
    for (int pair = threadIdx.x; pair < num_kv_heads * half; pair += FT_THREADS) {
        int head = pair / half, i = pair % half;
        long long from = (token * num_kv_heads + head) * head_dim;
        long long to = b * row_stride + head * head_stride + indices[token] * head_dim;
        turn_pair(k + from, cosines + angle, sines + angle, keys + to, i, half);
        values[to + i] = v[from + i];
        values[to + i + half] = v[from + i + half];
    }
}

// silu(gate) * up, number by number.
extern "C" __global__ void ft_silu_mul(const T* gate, const T* up, T* out, long long count) {
    long long i = (long long)blockIdx.x * FT_THREADS + threadIdx.x;
    if (i >= count) return;
    float x = as_float(gate[i]);
    out[i] = as_stored(rounded(x / (1.0f + expf(-x))) * as_float(up[i]));
}

// Two parts of one attention, weighted by their log-sum-exp; a part over no keys at all has weight 0, and where both
// are empty the result is 0. far, near, out (rows, width); one block per row.
extern "C" __global__ void ft_merge_lse(
    const T* far, const float* far_lse, const T* near, const float* near_lse, T* out, int width
) {
    long long row = (long long)blockIdx.x * width;
    float a = far_lse[blockIdx.x], b = near_lse[blockIdx.x];
    bool far_is_empty = a < -3.0e38f, near_is_empty = b < -3.0e38f;
    float share = near_is_empty ? 0.0f : far_is_empty ? 1.0f : 1.0f / (1.0f + expf(a - b));
    for (int i = threadIdx.x; i < width; i += FT_THREADS) {
        float from = far_is_empty ? 0.0f : as_float(far[row + i]);
        float to = near_is_empty ? 0.0f : as_float(near[row + i]);
        float step = to - from;
        out[row + i] = as_stored(share < 0.5f ? from + share * step : to - step * (1.0f - share));
    }
}

// Z of each row at positions first .. first + count - 1: word 0 of Philox-4x32-10 of (position, draw, 0, 0) under the
// row's key, its low bits. keys (rows, 2), draws (rows,), codes (rows, count).
extern "C" __global__ void ft_philox_codes(
    const long long* keys, const long long* draws, long long* codes, long long first, int count, int num_bits
) {
    int i = blockIdx.x * FT_THREADS + threadIdx.x, row = blockIdx.y;
    if (i >= count) return;
    unsigned c0 = (unsigned)(first + i), c1 = (unsigned)draws[row], c2 = 0u, c3 = 0u;
    unsigned k0 = (unsigned)keys[2 * row], k1 = (unsigned)keys[2 * row + 1];
    for (int round = 0; round < 10; ++round) {
        unsigned long long p0 = 0xD2511F53ull * c0, p1 = 0xCD9E8D57ull * c2;
        c0 = (unsigned)(p1 >> 32) ^ c1 ^ k0;
        c1 = (unsigned)p1;
        c2 = (unsigned)(p0 >> 32) ^ c3 ^ k1;
        c3 = (unsigned)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    codes[(long long)row * count + i] = (long long)(c0 & ((1u << num_bits) - 1u));
}
