// Decoding on a CPU: linear layers over packed weights, and a block of the decoder for one new token per row.
//
//     M rows    K inputs    N outputs    B sequences    D hidden size    H query heads    G key-value heads
//     d head dimension    P keys of a prefix that all rows share    T float or bfloat16
//
// A row's numbers depend on that row alone: every sum runs over its terms in order, in one accumulator per output,
// however many rows there are and however many threads. Sums are in float32; results are rounded to T where PyTorch's
// single operators round. Needs AVX-512 (and AVX512_BF16 for bfloat16). Knows no tensor and no allocator of PyTorch's.
#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <vector>

namespace {

constexpr int64_t kPanel = 32;      // outputs that are computed together: two vectors
constexpr int64_t kTileRows = 12;   // rows that are computed together: 24 accumulators of 32 registers
constexpr int64_t kRowBlock = 480;  // rows whose inputs are packed at a time
constexpr int64_t kSumBlock = 2048;  // terms of a sum whose weights stay in the second-level cache between row tiles

struct bf16 {
  uint16_t bits;
};

inline float widen(float x) { return x; }
inline float widen(bf16 x) {
  const uint32_t bits = uint32_t(x.bits) << 16;
  float y;
  std::memcpy(&y, &bits, 4);
  return y;
}
template <typename T>
inline T narrow(float x);
template <>
inline float narrow<float>(float x) {
  return x;
}
template <>
inline bf16 narrow<bf16>(float x) {  // to nearest, ties to even; NaN stays NaN
  uint32_t bits;
  std::memcpy(&bits, &x, 4);
  if ((bits & 0x7fffffff) > 0x7f800000) return {uint16_t((bits >> 16) | 0x40)};
  return {uint16_t((bits + 0x7fff + ((bits >> 16) & 1)) >> 16)};
}
template <typename T>
inline float rounded(float x) {
  return widen(narrow<T>(x));
}

inline __m512 load16(const float* p) { return _mm512_loadu_ps(p); }
inline __m512 load16(const bf16* p) {
  const __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}
inline void store16(float* p, __m512 x) { _mm512_storeu_ps(p, x); }
inline void store16(bf16* p, __m512 x) {
  const __m512i bits = _mm512_castps_si512(x);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  __m512i up = _mm512_srli_epi32(_mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd), 16);
  const __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
  up = _mm512_mask_mov_epi32(up, nan, _mm512_or_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(0x40)));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16(up));
}
template <typename T>
inline __m512 rounded16(__m512 x) {
  if constexpr (std::is_same_v<T, float>) return x;
  T kept[16];
  store16(kept, x);
  return load16(kept);
}

// e^x to about one unit in the last place (Cephes' polynomial); 0 below -87.3
inline __m512 exp16(__m512 x) {
  const __m512 low = _mm512_set1_ps(-87.33f), high = _mm512_set1_ps(88.72f);
  const __mmask16 gone = _mm512_cmp_ps_mask(x, low, _CMP_LT_OQ);
  x = _mm512_min_ps(high, _mm512_max_ps(low, x));  // where one is NaN the second operand is kept: NaN stays
  const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504088896341f)), 0x08);
  __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375f), x);
  r = _mm512_fnmadd_ps(n, _mm512_set1_ps(-2.12194440e-4f), r);
  __m512 p = _mm512_set1_ps(1.9875691500e-4f);
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.3981999507e-3f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(8.3334519073e-3f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(4.1665795894e-2f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.6666665459e-1f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(5.0000001201e-1f));
  p = _mm512_fmadd_ps(_mm512_mul_ps(r, r), p, _mm512_add_ps(r, _mm512_set1_ps(1.0f)));
  return _mm512_maskz_mov_ps(_mm512_knot(gone), _mm512_scalef_ps(p, n));
}

// ---------------------------------------------------------------------------------------------- linear layers

struct Linear {
  const void* weight;  // panels of 32 outputs: (N/32, K, 32) float, or (N/32, K/2, 32, 2) bfloat16
  const void* bias;    // (N) of T, or none
  int64_t num_outputs;
  int64_t num_inputs;
};

// sums of R rows and one panel over `count` terms; x (count, R) as packed by pack_rows
template <int R>
void tile(const float* x, const float* w, int64_t count, float* sums, bool goes_on) {
  __m512 a[R][2];
  for (int r = 0; r < R; r++)
    for (int v = 0; v < 2; v++) a[r][v] = goes_on ? _mm512_loadu_ps(sums + r * kPanel + v * 16) : _mm512_setzero_ps();
  for (int64_t k = 0; k < count; k++, x += R, w += kPanel) {
    const __m512 w0 = _mm512_loadu_ps(w), w1 = _mm512_loadu_ps(w + 16);
    for (int r = 0; r < R; r++) {
      const __m512 b = _mm512_set1_ps(x[r]);
      a[r][0] = _mm512_fmadd_ps(b, w0, a[r][0]);
      a[r][1] = _mm512_fmadd_ps(b, w1, a[r][1]);
    }
  }
  for (int r = 0; r < R; r++)
    for (int v = 0; v < 2; v++) _mm512_storeu_ps(sums + r * kPanel + v * 16, a[r][v]);
}

#ifdef __AVX512BF16__
// the same on pairs of terms
template <int R>
void tile(const uint32_t* x, const uint32_t* w, int64_t count, float* sums, bool goes_on) {
  __m512 a[R][2];
  for (int r = 0; r < R; r++)
    for (int v = 0; v < 2; v++) a[r][v] = goes_on ? _mm512_loadu_ps(sums + r * kPanel + v * 16) : _mm512_setzero_ps();
  for (int64_t k = 0; k < count; k++, x += R, w += kPanel) {
    const __m512bh w0 = (__m512bh)_mm512_loadu_si512(w), w1 = (__m512bh)_mm512_loadu_si512(w + 16);
    for (int r = 0; r < R; r++) {
      const __m512bh b = (__m512bh)_mm512_set1_epi32(int(x[r]));
      a[r][0] = _mm512_dpbf16_ps(a[r][0], b, w0);
      a[r][1] = _mm512_dpbf16_ps(a[r][1], b, w1);
    }
  }
  for (int r = 0; r < R; r++)
    for (int v = 0; v < 2; v++) _mm512_storeu_ps(sums + r * kPanel + v * 16, a[r][v]);
}
#endif

template <typename T>
struct Term;  // what the sum runs over: one number, or two of bfloat16
template <>
struct Term<float> {
  using type = float;
  static constexpr int64_t width = 1;
};
template <>
struct Term<bf16> {
  using type = uint32_t;
  static constexpr int64_t width = 2;
};

template <typename E, int R = int(kTileRows)>
inline void tile_of(int rows, const E* x, const E* w, int64_t count, float* sums, bool goes_on) {
  if (rows == R) return tile<R>(x, w, count, sums, goes_on);
  if constexpr (R > 1) tile_of<E, R - 1>(rows, x, w, count, sums, goes_on);
}

// rows of x (rows, K) as (K / width, rows)
template <typename T>
void pack_rows(const T* x, int64_t rows, int64_t K, typename Term<T>::type* packed) {
  using E = typename Term<T>::type;
  constexpr int64_t width = Term<T>::width;
  const int64_t whole = K / width;
  for (int64_t r = 0; r < rows; r++)
    for (int64_t k = 0; k < whole; k++) std::memcpy(packed + k * rows + r, x + r * K + k * width, sizeof(E));
  if (whole * width == K) return;
  for (int64_t r = 0; r < rows; r++) {
    E last = 0;
    std::memcpy(&last, x + r * K + K - 1, sizeof(T));
    packed[whole * rows + r] = last;
  }
}

// y = round(sums + bias), or y = round(y + round(sums + bias))
template <typename T>
void finish(const float* sums, int64_t rows, const T* bias, T* y, int64_t ldy, int64_t count, bool adds) {
  for (int64_t r = 0; r < rows; r++, sums += kPanel, y += ldy) {
    if (count == kPanel) {
      for (int64_t i = 0; i < kPanel; i += 16) {
        __m512 sum = _mm512_loadu_ps(sums + i);
        if (bias) sum = _mm512_add_ps(sum, load16(bias + i));
        if (adds) sum = _mm512_add_ps(load16(y + i), rounded16<T>(sum));
        store16(y + i, sum);
      }
      continue;
    }
    for (int64_t i = 0; i < count; i++) {
      const float sum = bias ? sums[i] + widen(bias[i]) : sums[i];
      y[i] = narrow<T>(adds ? widen(y[i]) + rounded<T>(sum) : sum);
    }
  }
}

// y (M, N) = x (M, K) W^T + bias, or y += it
template <typename T>
void linear(const Linear& layer, const T* x, T* y, int64_t M, bool adds, int threads) {
  using E = typename Term<T>::type;
  const int64_t N = layer.num_outputs, K = layer.num_inputs;
  const int64_t terms = (K + Term<T>::width - 1) / Term<T>::width, panels = (N + kPanel - 1) / kPanel;
  const E* weight = static_cast<const E*>(layer.weight);
  const T* bias = static_cast<const T*>(layer.bias);
  static thread_local std::vector<E> kept;
  kept.resize(size_t(std::min(M, kRowBlock) * terms));
  E* packed = kept.data();
#pragma omp parallel num_threads(threads) if (threads > 1)
  {
    std::vector<float> sums(size_t(std::min(M, kRowBlock) * kPanel));
    for (int64_t begin = 0; begin < M; begin += kRowBlock) {
      const int64_t rows = std::min(kRowBlock, M - begin), tiles = (rows + kTileRows - 1) / kTileRows;
      auto first = [&](int64_t t) { return rows * t / tiles; };  // tiles of nearly one size
#pragma omp for schedule(static)
      for (int64_t t = 0; t < tiles; t++)
        pack_rows<T>(x + (begin + first(t)) * K, first(t + 1) - first(t), K, packed + first(t) * terms);
#pragma omp for schedule(static)
      for (int64_t p = 0; p < panels; p++) {
        const E* w = weight + p * terms * kPanel;
        const int64_t block = tiles > 1 ? kSumBlock : terms;
        for (int64_t k = 0; k < terms; k += block)
          for (int64_t t = 0; t < tiles; t++) {
            const int64_t height = first(t + 1) - first(t);
            tile_of<E>(int(height), packed + first(t) * terms + k * height, w + k * kPanel, std::min(block, terms - k),
                       sums.data() + first(t) * kPanel, k > 0);
          }
        finish<T>(sums.data(), rows, bias ? bias + p * kPanel : nullptr, y + begin * N + p * kPanel, N,
                  std::min(kPanel, N - p * kPanel), adds);
      }
    }
  }
}

// ---------------------------------------------------------------------------------------------- attention

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
  const void* residual;  // (B, D) of T: R, into the keys and values of the first block of the call; or none
  int64_t threads;
};

constexpr int64_t kKeyPanel = 64;
constexpr int64_t kQueryChunk = 24;  // queries whose scores over a prefix are held at a time

// out (R, 16 V) = x (R, count) w (count, 16 V)
template <int R, int V, typename W>
void product(const float* x, int64_t ldx, const W* w, int64_t ldw, int64_t count, float* out, int64_t ldo) {
  __m512 a[R][V];
  for (int r = 0; r < R; r++)
    for (int v = 0; v < V; v++) a[r][v] = _mm512_setzero_ps();
  for (int64_t k = 0; k < count; k++, w += ldw) {
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
                  int64_t ldo) {
  for (; rows >= 6; rows -= 6, x += 6 * ldx, out += 6 * ldo) product<6, V>(x, ldx, w, ldw, count, out, ldo);
  switch (rows) {
    case 5: return product<5, V>(x, ldx, w, ldw, count, out, ldo);
    case 4: return product<4, V>(x, ldx, w, ldw, count, out, ldo);
    case 3: return product<3, V>(x, ldx, w, ldw, count, out, ldo);
    case 2: return product<2, V>(x, ldx, w, ldw, count, out, ldo);
    case 1: return product<1, V>(x, ldx, w, ldw, count, out, ldo);
  }
}

// out (rows, columns) = x (rows, count) w (count, columns), columns a multiple of 16
template <typename W>
void matmul(const float* x, int64_t ldx, int64_t rows, const W* w, int64_t ldw, int64_t columns, int64_t count,
            float* out, int64_t ldo) {
  for (; columns >= 64; columns -= 64, w += 64, out += 64) product_rows<4>(x, ldx, rows, w, ldw, count, out, ldo);
  switch (columns / 16) {
    case 3: return product_rows<3>(x, ldx, rows, w, ldw, count, out, ldo);
    case 2: return product_rows<2>(x, ldx, rows, w, ldw, count, out, ldo);
    case 1: return product_rows<1>(x, ldx, rows, w, ldw, count, out, ldo);
  }
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
  __m256 h[4];
  for (int i = 0; i < 4; i++) h[i] = _mm256_add_ps(_mm512_castps512_ps256(a[i]), _mm512_extractf32x8_ps(a[i], 1));
  const __m256 sum = _mm256_hadd_ps(_mm256_hadd_ps(h[0], h[1]), _mm256_hadd_ps(h[2], h[3]));
  return _mm_add_ps(_mm256_castps256_ps128(sum), _mm256_extractf128_ps(sum, 1));
}

template <typename T>
void own_scores(const float* q, int64_t heads, const T* keys, int64_t count, int64_t d, float* scores) {
  for (int64_t s = 0; s < count; s += 4) {
    const T* four[4];
    for (int64_t i = 0; i < 4; i++) four[i] = keys + std::min(s + i, count - 1) * d;
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
  const float largest = _mm512_reduce_max_ps(top) * scale;
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
  scratch.resize(size_t(heads * (count + d)));
  float* scores = scratch.data();
  float* near = scores + heads * count;
  float sums[2];
  std::vector<Weight> weights(size_t(heads), Weight{});
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

// ---------------------------------------------------------------------------------------------- a block

struct Layer {
  const void* input_norm;  // (D) of T
  const void* post_norm;
  const void* q_norm;  // (d) of T, or none
  const void* k_norm;
  Linear q, k, v, o, gate, up, down;
};

// y = round(x / sqrt(mean(x²) + eps) · weight), per row
template <typename T>
void rms_norm(const T* x, const T* weight, T* y, int64_t rows, int64_t size, double eps) {
  for (int64_t r = 0; r < rows; r++, x += size, y += size) {
    __m512 squares = _mm512_setzero_ps();
    for (int64_t i = 0; i < size; i += 16) {
      const __m512 part = load16(x + i);
      squares = _mm512_fmadd_ps(part, part, squares);
    }
    const float scale = 1.0f / std::sqrt(_mm512_reduce_add_ps(squares) / float(size) + float(eps));
    for (int64_t i = 0; i < size; i += 16)
      store16(y + i, _mm512_mul_ps(_mm512_mul_ps(load16(x + i), _mm512_set1_ps(scale)), load16(weight + i)));
  }
}

// a head (d), normed where the model does so, turned by its position's angles; rounded as single operators round
template <typename T, typename Y>
void turn(const T* head, const T* norm, const Shape& shape, const float* cos, const float* sin, Y* out) {
  const int64_t d = shape.head_dim, half = d / 2;
  T normed[1024];
  if (norm) rms_norm<T>(head, norm, normed, 1, d, shape.norm_eps), head = normed;
  for (int64_t i = 0; i < half; i++) {
    const float a = widen(head[i]), b = widen(head[half + i]);
    const float low = rounded<T>(rounded<T>(a * cos[i]) + rounded<T>(-b * sin[i]));
    const float high = rounded<T>(rounded<T>(b * cos[half + i]) + rounded<T>(a * sin[half + i]));
    if constexpr (std::is_same_v<Y, float>) {
      out[i] = low, out[half + i] = high;
    } else {
      out[i] = narrow<Y>(low), out[half + i] = narrow<Y>(high);
    }
  }
}

// gate = round(round(silu(gate)) · up)
template <typename T>
void silu_mul(T* gate, const T* up, int64_t count) {
  int64_t i = 0;
  for (; i + 16 <= count; i += 16) {
    const __m512 x = load16(gate + i);
    const __m512 below = _mm512_add_ps(_mm512_set1_ps(1.0f), exp16(_mm512_sub_ps(_mm512_setzero_ps(), x)));
    store16(gate + i, _mm512_mul_ps(rounded16<T>(_mm512_div_ps(x, below)), load16(up + i)));
  }
  if (i == count) return;
  T rest[2][16] = {};
  std::memcpy(rest[0], gate + i, size_t(count - i) * sizeof(T));
  std::memcpy(rest[1], up + i, size_t(count - i) * sizeof(T));
  silu_mul<T>(rest[0], rest[1], 16);
  std::memcpy(gate + i, rest[0], size_t(count - i) * sizeof(T));
}

template <typename T>
struct Scratch {  // kept from call to call
  std::vector<T> normed, kv_normed, q, k, v, mixed, gate, up;
  std::vector<float> turned;
};

template <typename T>
void remember(const Shape& shape, const Memory& memory, const Step& step, const Layer& layer, const T* k, const T* v) {
  const int64_t G = shape.num_kv_heads, d = shape.head_dim;
  for (int64_t b = 0; b < step.num_rows; b++) {
    const int64_t position = step.positions[b];
    for (int64_t g = 0; g < G; g++, k += d, v += d) {
      const int64_t place = b * memory.row_stride + g * memory.head_stride + (position - memory.start) * d;
      turn<T, T>(k, static_cast<const T*>(layer.k_norm), shape, step.cos + position * d, step.sin + position * d,
                 static_cast<T*>(memory.keys) + place);
      std::memcpy(static_cast<T*>(memory.values) + place, v, size_t(d) * sizeof(T));
    }
  }
}

template <typename T>
void block(const Shape& shape, const Layer& layer, const Memory& memory, const Step& step, const T* residual) {
  static thread_local Scratch<T> s;
  const int64_t B = step.num_rows, D = shape.hidden_size, d = shape.head_dim;
  const int64_t wide = shape.num_heads * d, narrow_ = shape.num_kv_heads * d;
  const int threads = int(step.threads);
  T* x = static_cast<T*>(step.x);
  const T* input_norm = static_cast<const T*>(layer.input_norm);
  s.normed.resize(size_t(B * D)), s.q.resize(size_t(B * wide)), s.k.resize(size_t(B * narrow_));
  s.v.resize(size_t(B * narrow_)), s.mixed.resize(size_t(B * wide)), s.turned.resize(size_t(B * wide));
  rms_norm<T>(x, input_norm, s.normed.data(), B, D, shape.norm_eps);
  const T* kv_normed = s.normed.data();
  if (residual) {
    s.kv_normed.resize(size_t(B * D));
    for (int64_t i = 0; i < B * D; i++) s.kv_normed[i] = narrow<T>(widen(x[i]) + widen(residual[i]));
    rms_norm<T>(s.kv_normed.data(), input_norm, s.kv_normed.data(), B, D, shape.norm_eps);
    kv_normed = s.kv_normed.data();
  }
  linear<T>(layer.q, s.normed.data(), s.q.data(), B, false, threads);
  linear<T>(layer.k, kv_normed, s.k.data(), B, false, threads);
  linear<T>(layer.v, kv_normed, s.v.data(), B, false, threads);
  for (int64_t b = 0; b < B; b++)
    for (int64_t h = 0; h < shape.num_heads; h++) {
      const int64_t place = (b * shape.num_heads + h) * d, angle = step.positions[b] * d;
      turn<T, float>(s.q.data() + place, static_cast<const T*>(layer.q_norm), shape, step.cos + angle, step.sin + angle,
                     s.turned.data() + place);
    }
  remember<T>(shape, memory, step, layer, s.k.data(), s.v.data());
  attention<T>(shape, memory, step, s.turned.data(), s.mixed.data());
  linear<T>(layer.o, s.mixed.data(), x, B, true, threads);
  s.gate.resize(size_t(B * shape.intermediate_size)), s.up.resize(size_t(B * shape.intermediate_size));
  rms_norm<T>(x, static_cast<const T*>(layer.post_norm), s.normed.data(), B, D, shape.norm_eps);
  linear<T>(layer.gate, s.normed.data(), s.gate.data(), B, false, threads);
  linear<T>(layer.up, s.normed.data(), s.up.data(), B, false, threads);
  silu_mul<T>(s.gate.data(), s.up.data(), B * shape.intermediate_size);
  linear<T>(layer.down, s.gate.data(), x, B, true, threads);
}

template <typename T>
void blocks(const Shape& shape, const Layer* layers, const Memory* memories, int64_t count, const Step& step) {
  for (int64_t i = 0; i < count; i++)
    block<T>(shape, layers[i], memories[i], step, i ? nullptr : static_cast<const T*>(step.residual));
}

}  // namespace

extern "C" {

int64_t ft_has_bf16() {
#ifdef __AVX512BF16__
  return 1;
#else
  return 0;
#endif
}

// y (M, N) = x (M, K) W^T + bias; added to y where `adds`
void ft_linear(int64_t is_bf16, const Linear* layer, const void* x, void* y, int64_t M, int64_t threads) {
#ifdef __AVX512BF16__
  if (is_bf16) return linear<bf16>(*layer, static_cast<const bf16*>(x), static_cast<bf16*>(y), M, false, int(threads));
#endif
  linear<float>(*layer, static_cast<const float*>(x), static_cast<float*>(y), M, false, int(threads));
}

// `count` blocks, one after the other, on one new token per row
void ft_blocks(const Shape* shape, const Layer* layers, const Memory* memories, int64_t count, const Step* step) {
#ifdef __AVX512BF16__
  if (shape->is_bf16) return blocks<bf16>(*shape, layers, memories, count, *step);
#endif
  blocks<float>(*shape, layers, memories, count, *step);
}

}  // extern "C"
