// Linear layers over packed weights. Knows no block.
//
//     M rows    K inputs    N outputs    T float or bfloat16
#pragma once

#include <algorithm>
#include <vector>

#include "amx.h"
#include "panels.h"

namespace {

constexpr int64_t kTileRows = 12;  // rows that are computed together: 24 accumulators of 32 registers

// sums of R rows and one panel over `count` terms; x (count, R) as packed by pack_rows
template <int R>
void tile(const float* x, const float* w, int64_t count, float* sums, bool goes_on, Ahead ahead) {
  __m512 a[R][2];
  for (int r = 0; r < R; r++)
    for (int v = 0; v < 2; v++) a[r][v] = goes_on ? _mm512_loadu_ps(sums + r * kPanel + v * 16) : _mm512_setzero_ps();
  for (int64_t k = 0; k < count; k++, x += R, w += kPanel) {
    ahead.ask();
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
void tile(const uint32_t* x, const uint32_t* w, int64_t count, float* sums, bool goes_on, Ahead ahead) {
  __m512 a[R][2];
  for (int r = 0; r < R; r++)
    for (int v = 0; v < 2; v++) a[r][v] = goes_on ? _mm512_loadu_ps(sums + r * kPanel + v * 16) : _mm512_setzero_ps();
  for (int64_t k = 0; k < count; k++, x += R, w += kPanel) {
    ahead.ask();
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
inline void tile_of(int rows, const E* x, const E* w, int64_t count, float* sums, bool goes_on, Ahead ahead) {
  if (rows == R) return tile<R>(x, w, count, sums, goes_on, ahead);
  if constexpr (R > 1) tile_of<E, R - 1>(rows, x, w, count, sums, goes_on, ahead);
}

// a kernel of `multiply`, by vectors
template <typename T>
struct RowTiles {
  using E = typename Term<T>::type;
  static constexpr int64_t kHeight = kTileRows, kLone = kAhead, kWidth = Term<T>::width;

  static int64_t num_terms(int64_t K) { return (K + kWidth - 1) / kWidth; }

  // rows of x (rows, K) as (terms, rows)
  static void pack(const T* x, int64_t rows, int64_t K, E* packed) {
    const int64_t whole = K / kWidth, by_vectors = whole / 16 * 16;
    const __mmask16 here = __mmask16((1 << rows) - 1);
    for (int64_t k = 0; k < by_vectors; k += 16) {
      __m512 terms[16];
      for (int64_t r = 0; r < 16; r++)
        terms[r] = r < rows ? _mm512_loadu_ps(reinterpret_cast<const float*>(x + r * K + k * kWidth))
                            : _mm512_setzero_ps();
      transpose16(terms);
      for (int64_t i = 0; i < 16; i++) _mm512_mask_storeu_ps(packed + (k + i) * rows, here, terms[i]);
    }
    for (int64_t r = 0; r < rows; r++)
      for (int64_t k = by_vectors; k < whole; k++)
        std::memcpy(packed + k * rows + r, x + r * K + k * kWidth, sizeof(E));
    if (whole * kWidth == K) return;
    for (int64_t r = 0; r < rows; r++) {
      E last = 0;
      std::memcpy(&last, x + r * K + K - 1, sizeof(T));
      packed[whole * rows + r] = last;
    }
  }

  void operator()(const E* packed, int64_t rows, int64_t, int64_t k, const E* w, int64_t count, float* sums,
                  Ahead ahead) {
    tile_of<E>(int(rows), packed + k * rows, w, count, sums, k > 0, ahead);
  }
};

// y (M, N) = x (M, K) W^T + bias, or y += it. A kernel packs rows, and sums up to kHeight of them over a piece of a
// panel: kernel(rows as packed, their number, all terms, the first term, weights there, terms, sums, what to ask for)
template <typename Kernel, typename T>
void multiply(const Linear& layer, const T* x, T* y, int64_t M, bool adds, int threads) {
  using E = typename Kernel::E;
  const int64_t N = layer.num_outputs, K = layer.num_inputs, terms = Kernel::num_terms(K);
  const int64_t panels = (N + kPanel - 1) / kPanel;
  const E* weight = static_cast<const E*>(layer.weight);
  const T* bias = static_cast<const T*>(layer.bias);
  static thread_local std::vector<E> kept;
  const int64_t most = row_block(K * int64_t(sizeof(T)));
  kept.resize(size_t(std::min(M, most) * terms));
  E* packed = kept.data();
#pragma omp parallel num_threads(threads) if (threads > 1)
  {
    Kernel kernel;
    std::vector<float> sums(size_t(std::min(M, most) * kPanel));
    for (int64_t begin = 0; begin < M; begin += most) {
      const int64_t rows = std::min(most, M - begin), tiles = (rows + Kernel::kHeight - 1) / Kernel::kHeight;
      auto first = [&](int64_t t) { return rows * t / tiles; };  // tiles of nearly one size
#pragma omp for schedule(static)
      for (int64_t t = 0; t < tiles; t++)
        Kernel::pack(x + (begin + first(t)) * K, first(t + 1) - first(t), K, packed + first(t) * terms);
#pragma omp for schedule(static)
      for (int64_t p = 0; p < panels; p++) {
        const E* w = weight + p * terms * kPanel;
        const int64_t block = tiles > 1 ? kSumBlock : terms;
        for (int64_t k = 0; k < terms; k += block)
          for (int64_t t = 0; t < tiles; t++) {
            const int64_t count = std::min(block, terms - k);
            kernel(packed + first(t) * terms, first(t + 1) - first(t), terms, k, w + k * kPanel, count,
                   sums.data() + first(t) * kPanel, ahead_of(w + k * kPanel, count, t, tiles, Kernel::kLone));
          }
        finish<T>(sums.data(), rows, bias ? bias + p * kPanel : nullptr, y + begin * N + p * kPanel, N,
                  std::min(kPanel, N - p * kPanel), adds);
      }
    }
  }
}

template <typename T>
void linear(const Linear& layer, const T* x, T* y, int64_t M, bool adds, int threads) {
#ifdef __AMX_BF16__
  if constexpr (std::is_same_v<T, bf16>)
    if (amx_takes(layer)) return multiply<AmxTiles>(layer, x, y, M, adds, threads);
#endif
  multiply<RowTiles<T>>(layer, x, y, M, adds, threads);
}

}  // namespace
