// How a layer's weight lies, how it is asked of memory ahead of its use, and how sums become outputs.
#pragma once

#include "numbers.h"

namespace {

constexpr int64_t kPanel = 32;      // outputs that are computed together: two vectors
constexpr int64_t kRowBlock = 192;  // rows whose inputs are packed at a time, at most
constexpr int64_t kRowBytes = 3 << 18;  // of them, so that they stay in the second-level cache between panels
constexpr int64_t kSumBlock = 768;  // terms of a sum whose weights stay in the second-level cache between row tiles
constexpr int64_t kAhead = 2048;    // bytes: how far before its use a weight is asked for where every one is used once

struct Linear {
  const void* weight;  // panels of 32 outputs: (N/32, K, 32) float, or (N/32, K/2, 32, 2) bfloat16
  const void* bias;    // (N) of T, or none
  int64_t num_outputs;
  int64_t num_inputs;
};

inline int64_t row_block(int64_t row_bytes) {  // 192, 96, or 48
  const int64_t bytes = row_bytes * kRowBlock;
  return bytes <= kRowBytes ? kRowBlock : bytes <= 2 * kRowBytes ? kRowBlock / 2 : kRowBlock / 4;
}

struct Ahead {  // what is asked of memory meanwhile: two cache lines at `place`, which moves on by `stride` per term
  const char* place;
  int64_t stride;

  inline void ask() {
    _mm_prefetch(place, _MM_HINT_T1);
    _mm_prefetch(place + 64, _MM_HINT_T1);
    place += stride;
  }
};

// what tile t of several asks for while it computes: its share of the weights that come after these. A lone tile reads
// them as fast as they come, and asks for those shortly ahead.
template <typename E>
inline Ahead ahead_of(const E* w, int64_t count, int64_t t, int64_t tiles, int64_t lone) {
  const char* here = reinterpret_cast<const char*>(w);
  const int64_t bytes = kPanel * int64_t(sizeof(E)), stride = bytes / tiles;
  if (tiles == 1) return {here + lone, bytes};
  return {here + count * (bytes + stride * t), stride};
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

}  // namespace
