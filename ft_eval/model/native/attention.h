// Attention of one new token per row: over a prefix that all rows share and over a row's own keys. Knows no block.
//
//     B sequences    H query heads    G key-value heads    d head dimension    P keys of a prefix that all rows share
#pragma once

#include <algorithm>
#include <vector>

#include "numbers.h"

namespace {

struct Shape {
  int64_t hidden_size;
  int64_t num_heads;
  int64_t num_kv_heads;
  int64_t head_dim;  // a multiple of 16
  int64_t intermediate_size;
  double norm_eps;
  int64_t is_bf16;
};

struct Memory {  // of one block; strides in numbers, a position's numbers lie together
  void* keys;    // of T, from the first row's position `start` on
  void* values;
  int64_t row_stride;
  int64_t head_stride;
  int64_t start;
  const float* prefix_keys;    // (G, P/64, d, 64), padded with zeros; none where P is 0
  const float* prefix_values;  // (G, P, d)
  int64_t prefix_length;       // P
};

struct Step {
  int64_t num_rows;
  const int64_t* positions;  // (B)
  const float* cos;          // (positions, d)
  const float* sin;
  void* x;               // (B, D) of T: the residual stream, in and out
  const void* table;     // (codes, D) of T: W, whose rows go into the keys and values of the first block; or none
  const int64_t* codes;  // (B), each a row of W, or -1 for R = 0
  int64_t num_codes;     // rows of W
  int64_t threads;
};

constexpr int64_t kKeyPanel = 64;
constexpr int64_t kQueryChunk = 24;  // queries whose scores over a prefix are held at a time

constexpr int64_t kKeysAhead = 4096;  // bytes: how far before its use a key or value is asked for

// the numbers that lie that far behind these
template <typename T>
inline void ask(const T* numbers, int64_t count) {
  const char* place = reinterpret_cast<const char*>(numbers) + kKeysAhead;
  for (int64_t i = 0; i < count * int64_t(sizeof(T)); i += 64) _mm_prefetch(place + i, _MM_HINT_T1);
}

// out (R, 16 V) = x (R, count) w (count, 16 V), or out += it
template <int R, int V, typename W>
void product(const float* x, int64_t ldx, const W* w, int64_t ldw, int64_t count, float* out, int64_t ldo,
             bool goes_on) {
  __m512 a[R][V];
  for (int r = 0; r < R; r++)
    for (int v = 0; v < V; v++) a[r][v] = goes_on ? _mm512_loadu_ps(out + r * ldo + v * 16) : _mm512_setzero_ps();
  for (int64_t k = 0; k < count; k++, w += ldw) {
    ask<W>(w, 16 * V);
    __m512 wk[V];
    for (int v = 0; v < V; v++) wk[v] = load16(w + v * 16);
    for (int r = 0; r < R; r++) {
      const __m512 b = _mm512_set1_ps(x[r * ldx + k]);
      for (int v = 0; v < V; v++) a[r][v] = _mm512_fmadd_ps(b, wk[v], a[r][v]);
    }
  }
  for (int r = 0; r < R; r++)
    for (int v = 0; v < V; v++) _mm512_storeu_ps(out + r * ldo + v * 16, a[r][v]);
}

template <int V, typename W>
void product_rows(const float* x, int64_t ldx, int64_t rows, const W* w, int64_t ldw, int64_t count, float* out,
                  int64_t ldo, bool goes_on) {
  for (; rows >= 6; rows -= 6, x += 6 * ldx, out += 6 * ldo) product<6, V>(x, ldx, w, ldw, count, out, ldo, goes_on);
  switch (rows) {
    case 5: return product<5, V>(x, ldx, w, ldw, count, out, ldo, goes_on);
    case 4: return product<4, V>(x, ldx, w, ldw, count, out, ldo, goes_on);
    case 3: return product<3, V>(x, ldx, w, ldw, count, out, ldo, goes_on);
    case 2: return product<2, V>(x, ldx, w, ldw, count, out, ldo, goes_on);
    case 1: return product<1, V>(x, ldx, w, ldw, count, out, ldo, goes_on);
  }
}

// out (rows, columns) = x (rows, count) w (count, columns), or out += it; columns a multiple of 16
template <typename W>
void matmul(const float* x, int64_t ldx, int64_t rows, const W* w, int64_t ldw, int64_t columns, int64_t count,
            float* out, int64_t ldo, bool goes_on = false) {
  for (; columns >= 64; columns -= 64, w += 64, out += 64)
    product_rows<4>(x, ldx, rows, w, ldw, count, out, ldo, goes_on);
  switch (columns / 16) {
    case 3: return product_rows<3>(x, ldx, rows, w, ldw, count, out, ldo, goes_on);
    case 2: return product_rows<2>(x, ldx, rows, w, ldw, count, out, ldo, goes_on);
    case 1: return product_rows<1>(x, ldx, rows, w, ldw, count, out, ldo, goes_on);
  }
}

// the four sums of four vectors
inline __m128 sums4(const __m512 a[4]) {
  __m256 h[4];
  for (int i = 0; i < 4; i++) h[i] = _mm256_add_ps(_mm512_castps512_ps256(a[i]), _mm512_extractf32x8_ps(a[i], 1));
  const __m256 sum = _mm256_hadd_ps(_mm256_hadd_ps(h[0], h[1]), _mm256_hadd_ps(h[2], h[3]));
  return _mm_add_ps(_mm256_castps256_ps128(sum), _mm256_extractf128_ps(sum, 1));
}

// scores of q (d) with four keys
template <typename T>
inline __m128 dot4(const float* q, const T* const keys[4], int64_t d) {
  __m512 a[4];
  for (int i = 0; i < 4; i++) a[i] = _mm512_setzero_ps();
  for (int64_t j = 0; j < d; j += 16) {
    const __m512 qj = _mm512_loadu_ps(q + j);
    for (int i = 0; i < 4; i++) a[i] = _mm512_fmadd_ps(qj, load16(keys[i] + j), a[i]);
  }
  return sums4(a);
}

#ifdef __AVX512BF16__
// the same by pairs, of numbers that bfloat16 holds; d a multiple of 32
inline __m128 dot4(const bf16* q, const bf16* const keys[4], int64_t d) {
  __m512 a[4];
  for (int i = 0; i < 4; i++) a[i] = _mm512_setzero_ps();
  for (int64_t j = 0; j < d; j += 32) {
    const __m512bh qj = (__m512bh)_mm512_loadu_si512(q + j);
    for (int i = 0; i < 4; i++) a[i] = _mm512_dpbf16_ps(a[i], qj, (__m512bh)_mm512_loadu_si512(keys[i] + j));
  }
  return sums4(a);
}
#endif

// q (heads, d), of float or as the keys
template <typename Q, typename T>
void own_scores(const Q* q, int64_t heads, const T* keys, int64_t count, int64_t d, float* scores) {
  for (int64_t s = 0; s < count; s += 4) {
    const T* four[4];
    for (int64_t i = 0; i < 4; i++) four[i] = keys + std::min(s + i, count - 1) * d;
    ask<T>(keys + s * d, 4 * d);
    const __mmask8 here = __mmask8((1 << std::min<int64_t>(4, count - s)) - 1);
    for (int64_t h = 0; h < heads; h++) _mm_mask_storeu_ps(scores + h * count + s, here, dot4(q + h * d, four, d));
  }
}

struct Weight {  // of a part of the keys: its largest score, and the sum of the exponentials below it
  float largest;
  float sum;
};

// scores (count) of one query to e^(scale · (score - largest)), in place
Weight exponentials(float* scores, int64_t count, float scale) {
  const __m512 none = _mm512_set1_ps(-INFINITY);
  auto lanes = [&](int64_t s) { return count - s >= 16 ? __mmask16(0xffff) : __mmask16((1 << (count - s)) - 1); };
  __m512 top = none;
  for (int64_t s = 0; s < count; s += 16) top = _mm512_max_ps(top, _mm512_mask_loadu_ps(none, lanes(s), scores + s));
  const float found = _mm512_reduce_max_ps(top) * scale, largest = found > -INFINITY ? found : 0.0f;
  __m512 total = _mm512_setzero_ps();
  for (int64_t s = 0; s < count; s += 16) {
    const __mmask16 here = lanes(s);
    const __m512 shifted = _mm512_fmsub_ps(_mm512_maskz_loadu_ps(here, scores + s), _mm512_set1_ps(scale),
                                           _mm512_set1_ps(largest));
    const __m512 e = _mm512_maskz_mov_ps(here, exp16(shifted));
    _mm512_mask_storeu_ps(scores + s, here, e);
    total = _mm512_add_ps(total, e);
  }
  return {largest, _mm512_reduce_add_ps(total)};
}

// queries (count, d) over a group's prefix: unnormalised sums of values (count, d), and their weights
void attend_prefix(const Shape& shape, const Memory& memory, int64_t group, const float* q, int64_t count, float* out,
                   Weight* weights, std::vector<float>& scratch) {
  const int64_t d = shape.head_dim, P = memory.prefix_length, panels = (P + kKeyPanel - 1) / kKeyPanel;
  const float* keys = memory.prefix_keys + group * panels * d * kKeyPanel;
  const float* values = memory.prefix_values + group * P * d;
  const int64_t width = panels * kKeyPanel;
  const float scale = 1.0f / std::sqrt(float(d));
  scratch.resize(size_t(kQueryChunk * width));
  for (int64_t begin = 0; begin < count; begin += kQueryChunk) {
    const int64_t rows = std::min(kQueryChunk, count - begin);
    for (int64_t p = 0; p < panels; p++)
      matmul(q + begin * d, d, rows, keys + p * d * kKeyPanel, kKeyPanel, kKeyPanel, d, scratch.data() + p * kKeyPanel,
             width);
    for (int64_t r = 0; r < rows; r++) weights[begin + r] = exponentials(scratch.data() + r * width, P, scale);
    matmul(scratch.data(), width, rows, values, d, d, P, out + begin * d, d);
  }
}

// one row's queries (heads, d) of a group over the row's own keys; merged with what the prefix gave, if it gave
template <typename T>
void attend_own(const Shape& shape, const T* keys, const T* values, int64_t count, const float* q,
                int64_t heads, const float* far, const Weight* far_weights, T* out, std::vector<float>& scratch) {
  const int64_t d = shape.head_dim;
  const float scale = 1.0f / std::sqrt(float(d));
  scratch.resize(size_t(heads * (count + 2 * d)));
  float* scores = scratch.data();
  float* near = scores + heads * count;
  float sums[2];
  std::vector<Weight> weights(size_t(heads), Weight{});
#ifdef __AVX512BF16__
  if (std::is_same_v<T, bf16> && d % 32 == 0) {
    bf16* narrow_q = reinterpret_cast<bf16*>(near + heads * d);
    for (int64_t j = 0; j < heads * d; j += 16) store16(narrow_q + j, _mm512_loadu_ps(q + j));
    own_scores(narrow_q, heads, reinterpret_cast<const bf16*>(keys), count, d, scores);
  } else
#endif
    own_scores(q, heads, keys, count, d, scores);
  for (int64_t h = 0; h < heads; h++) weights[h] = exponentials(scores + h * count, count, scale);
  matmul(scores, count, heads, values, d, d, count, near, d);
  for (int64_t h = 0; h < heads; h++) {
    float share = 1.0f / weights[h].sum, far_share = 0.0f;
    if (far) {
      const float largest = std::max(weights[h].largest, far_weights[h].largest);
      sums[0] = std::exp(weights[h].largest - largest), sums[1] = std::exp(far_weights[h].largest - largest);
      const float total = sums[0] * weights[h].sum + sums[1] * far_weights[h].sum;
      share = sums[0] / total, far_share = sums[1] / total;
    }
    for (int64_t j = 0; j < d; j += 16) {
      __m512 mixed = _mm512_mul_ps(_mm512_loadu_ps(near + h * d + j), _mm512_set1_ps(share));
      if (far) mixed = _mm512_fmadd_ps(_mm512_loadu_ps(far + h * d + j), _mm512_set1_ps(far_share), mixed);
      store16(out + h * d + j, mixed);
    }
  }
}

// q (B, N, d) to out (B, N, d) of T
template <typename T>
void attention(const Shape& shape, const Memory& memory, const Step& step, const float* q, T* out) {
  const int64_t B = step.num_rows, d = shape.head_dim, G = shape.num_kv_heads, heads = shape.num_heads / G;
  const int64_t parts = std::min(B, step.threads);
#pragma omp parallel for schedule(static) num_threads(step.threads) if (step.threads > 1)
  for (int64_t item = 0; item < G * parts; item++) {
    static thread_local std::vector<float> queries, far, scratch;
    static thread_local std::vector<Weight> far_weights;
    const int64_t group = item / parts, first = B * (item % parts) / parts, stop = B * (item % parts + 1) / parts;
    const int64_t count = (stop - first) * heads;
    queries.resize(size_t(count * d));
    for (int64_t b = first; b < stop; b++)
      std::memcpy(queries.data() + (b - first) * heads * d, q + (b * shape.num_heads + group * heads) * d,
                  size_t(heads * d) * sizeof(float));
    const bool behind = memory.prefix_length > 0;
    if (behind) {
      far.resize(size_t(count * d)), far_weights.resize(size_t(count));
      attend_prefix(shape, memory, group, queries.data(), count, far.data(), far_weights.data(), scratch);
    }
    for (int64_t b = first; b < stop; b++) {
      const int64_t place = b * memory.row_stride + group * memory.head_stride, from = (b - first) * heads;
      attend_own<T>(shape, static_cast<const T*>(memory.keys) + place,
                    static_cast<const T*>(memory.values) + place, step.positions[b] - memory.start + 1,
                    queries.data() + from * d, heads, behind ? far.data() + from * d : nullptr,
                    behind ? far_weights.data() + from : nullptr, out + (b * shape.num_heads + group * heads) * d,
                    scratch);
    }
  }
}

}  // namespace
