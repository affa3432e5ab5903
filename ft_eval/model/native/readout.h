// What is asked of rows of scores: the likeliest token, and the log of the sum of exponentials. Knows no layer.
//
//     V scores of a row
#pragma once

#include <algorithm>

#include "numbers.h"

namespace {

constexpr int64_t kSumChunk = 1024;  // exponentials that are added up in float; such sums in double

template <typename T>
float largest_of(const T* scores, int64_t V) {
  const __m512 none = _mm512_set1_ps(-INFINITY);
  __m512 top[4] = {none, none, none, none};
  int64_t i = 0;
  for (; i + 64 <= V; i += 64)
    for (int v = 0; v < 4; v++) top[v] = _mm512_max_ps(top[v], load16(scores + i + v * 16));
  float largest = _mm512_reduce_max_ps(_mm512_max_ps(_mm512_max_ps(top[0], top[1]), _mm512_max_ps(top[2], top[3])));
  for (; i < V; i++) largest = widen(scores[i]) > largest ? widen(scores[i]) : largest;
  return largest;
}

// where a value stands first; 0 where it stands nowhere
template <typename T>
int64_t first_of(const T* scores, int64_t V, float value) {
  int64_t i = 0;
  for (; i + 16 <= V; i += 16) {
    const __mmask16 here = _mm512_cmp_ps_mask(load16(scores + i), _mm512_set1_ps(value), _CMP_EQ_OQ);
    if (here) return i + __builtin_ctz(unsigned(here));
  }
  for (; i < V; i++)
    if (widen(scores[i]) == value) return i;
  return 0;
}

// sum of e^(score - largest)
template <typename T>
double sum_of(const T* scores, int64_t V, float largest) {
  double total = 0.0;
  for (int64_t begin = 0; begin < V; begin += kSumChunk) {
    const int64_t stop = std::min(V, begin + kSumChunk);
    __m512 sums[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
    int64_t i = begin;
    for (; i + 32 <= stop; i += 32)
      for (int v = 0; v < 2; v++)
        sums[v] = _mm512_add_ps(sums[v], exp16(_mm512_sub_ps(load16(scores + i + v * 16), _mm512_set1_ps(largest))));
    total += _mm512_reduce_add_ps(_mm512_add_ps(sums[0], sums[1]));
    for (; i < stop; i++) total += std::exp(widen(scores[i]) - largest);
  }
  return total;
}

// of each row of scores (rows, V): the first of the largest and, where asked for, the largest and the log of the sum of
// exponentials below it
template <typename T>
void readout(const T* scores, int64_t rows, int64_t V, int64_t* likeliest, float* largest, float* log_sums,
             int threads) {
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
  for (int64_t r = 0; r < rows; r++) {
    const float top = largest_of(scores + r * V, V);
    likeliest[r] = first_of(scores + r * V, V, top);
    if (largest) largest[r] = top, log_sums[r] = float(std::log(sum_of(scores + r * V, V, top)));
  }
}

}  // namespace
