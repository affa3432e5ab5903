// The parts of a block beside its products: norm, rotation, activation. Knows no sequence.
//
//     D hidden size    d head dimension    T float or bfloat16
#pragma once

#include "attention.h"
#include "linear.h"

namespace {

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

template <typename T>
void rms_norms(const T* x, const T* weight, T* y, int64_t rows, int64_t size, double eps, int threads) {
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
  for (int64_t r = 0; r < rows; r++) rms_norm<T>(x + r * size, weight, y + r * size, 1, size, eps);
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

}  // namespace
