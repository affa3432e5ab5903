// Attention of many tokens per row: over a prefix and over keys of the row's own, as one softmax. In float.
// Knows no block.
//
//     B rows    T queries    S own keys    P prefix keys    H query heads    G key-value heads    d head dimension
//
// The heads that share keys become further queries of one head: H/G · T of them, head by head. A query's numbers depend
// on it and on the keys it sees alone: scores in the keys' order, one sum of exponentials, one sum of values, whether
// the first keys come as a prefix or as keys of the row's own.
#pragma once

#include <algorithm>
#include <vector>

#include "attention.h"

namespace {

struct Keys {  // of all rows and groups; a position's d numbers lie together, and positions follow each other
  const float* keys;
  const float* values;
  int64_t row_stride;  // in numbers; 0: all rows share them
  int64_t head_stride;
  int64_t count;  // how many are read of each row
};

struct Sight {           // which of the own keys a query sees, besides the whole prefix
  const float* mask;     // (B or 1, T, S), 0 or -inf; none: all
  int64_t row_stride;    // in numbers; 0: all rows see alike
  int64_t query_stride;  // in numbers
  int64_t is_causal;     // without a mask: query t sees keys 0 .. t
};

constexpr int64_t kManyQueries = 24;  // whose scores are held at a time
constexpr int64_t kValueBlock = 128;  // values that stay in the first-level cache between queries

// keys (count, d) as panels (count/64, d, 64), filled up with zeros
void pack_keys(const float* keys, int64_t count, int64_t d, float* panels) {
  for (int64_t first = 0; first < count; first += kKeyPanel, panels += d * kKeyPanel)
    for (int64_t part = 0; part < kKeyPanel; part += 16)
      for (int64_t j = 0; j < d; j += 16) {
        __m512 rows[16];
        for (int64_t i = 0; i < 16; i++) {
          const int64_t s = first + part + i;
          rows[i] = s < count ? _mm512_loadu_ps(keys + s * d + j) : _mm512_setzero_ps();
        }
        transpose16(rows);
        for (int64_t i = 0; i < 16; i++) _mm512_storeu_ps(panels + (j + i) * kKeyPanel + part, rows[i]);
      }
}

// how many keys a query sees up to the last one that it sees
int64_t seen_by(const float* mask, int64_t count) {
  for (; count >= 16; count -= 16) {
    const __mmask16 sees = _mm512_cmp_ps_mask(_mm512_loadu_ps(mask + count - 16), _mm512_setzero_ps(), _CMP_NLT_UQ);
    if (sees) return count - 16 + (32 - __builtin_clz(unsigned(sees)));
  }
  while (count > 0 && mask[count - 1] < 0.0f) count--;
  return count;
}

void add_mask(float* scores, const float* mask, int64_t count) {
  int64_t s = 0;
  for (; s + 16 <= count; s += 16)
    _mm512_storeu_ps(scores + s, _mm512_add_ps(_mm512_loadu_ps(scores + s), _mm512_loadu_ps(mask + s)));
  for (; s < count; s++) scores[s] += mask[s];
}

struct Room {  // of one thread
  std::vector<float> far_panels, near_panels, scores, sums;
};

// the queries j .. j + rows - 1 of one row and group: q (rows, d), over keys that are packed already
void attend_some(const float* far_values, int64_t P, const float* near_values, const int64_t* seen,
                 const float* const* masks, int64_t rows, const float* q, int64_t d, Room& room, float* const* out) {
  const int64_t most = *std::max_element(seen, seen + rows), width = P + (most + 2 * kKeyPanel) / kKeyPanel * kKeyPanel;
  const float scale = 1.0f / std::sqrt(float(d));
  room.scores.resize(size_t(rows * width)), room.sums.resize(size_t(rows * d));
  float *scores = room.scores.data(), *sums = room.sums.data();
  for (int64_t s = 0; s < P; s += kKeyPanel)
    matmul(q, d, rows, room.far_panels.data() + s * d, kKeyPanel, kKeyPanel, d, scores + s, width);
  for (int64_t s = 0; s < most; s += kKeyPanel)
    matmul(q, d, rows, room.near_panels.data() + s * d, kKeyPanel, kKeyPanel, d, scores + P + s, width);
  float shares[kManyQueries];
  for (int64_t r = 0; r < rows; r++) {
    float* own = scores + r * width;
    if (masks) add_mask(own + P, masks[r], seen[r]);
    const Weight weight = exponentials(own, P + seen[r], scale);
    shares[r] = weight.sum > 0.0f ? 1.0f / weight.sum : 0.0f;
    std::fill(own + P + seen[r], own + P + most, 0.0f);
  }
  bool goes_on = false;
  for (int64_t s = 0; s < P; s += kValueBlock, goes_on = true)
    matmul(scores + s, width, rows, far_values + s * d, d, d, std::min(kValueBlock, P - s), sums, d, goes_on);
  for (int64_t s = 0; s < most; s += kValueBlock, goes_on = true)
    matmul(scores + P + s, width, rows, near_values + s * d, d, d, std::min(kValueBlock, most - s), sums, d, goes_on);
  for (int64_t r = 0; r < rows; r++)
    for (int64_t j = 0; j < d; j += 16)
      _mm512_storeu_ps(out[r] + j, _mm512_mul_ps(_mm512_loadu_ps(sums + r * d + j), _mm512_set1_ps(shares[r])));
}

// one row's queries (H/G · T, d) of a group, head by head; out (T, H, d), from the group's first head on
void attend_row(const Shape& shape, const Keys& own, int64_t P, const float* far_values, const float* near_values,
                const Sight& sight, const float* mask, int64_t num_tokens, const float* q, float* out, Room& room) {
  const int64_t d = shape.head_dim, count = shape.num_heads / shape.num_kv_heads * num_tokens;
  for (int64_t begin = 0; begin < count; begin += kManyQueries) {
    const int64_t rows = std::min(kManyQueries, count - begin);
    int64_t seen[kManyQueries];
    const float* masks[kManyQueries];
    float* places[kManyQueries];
    for (int64_t r = 0; r < rows; r++) {
      const int64_t head = (begin + r) / num_tokens, t = (begin + r) % num_tokens;
      masks[r] = mask ? mask + t * sight.query_stride : nullptr;
      seen[r] = mask ? seen_by(masks[r], own.count) : sight.is_causal ? t + 1 : own.count;
      places[r] = out + (t * shape.num_heads + head) * d;
    }
    attend_some(far_values, P, near_values, seen, mask ? masks : nullptr, rows, q + begin * d, d, room, places);
  }
}

// q (B, H, T, d) to out (B, T, H, d)
void attention_many(const Shape& shape, const Keys& prefix, const Keys& own, const Sight& sight, int64_t num_rows,
                    int64_t num_tokens, const float* q, float* out, int64_t threads) {
  const int64_t d = shape.head_dim, G = shape.num_kv_heads, heads = shape.num_heads / G, P = prefix.count;
  const int64_t parts = std::min(num_rows, threads);
  auto panelled = [](int64_t count) { return size_t((count + kKeyPanel - 1) / kKeyPanel * kKeyPanel); };
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
  for (int64_t item = 0; item < G * parts; item++) {
    static thread_local Room room;
    const int64_t g = item / parts, part = item % parts;
    const int64_t first = num_rows * part / parts, stop = num_rows * (part + 1) / parts;
    room.far_panels.resize(panelled(P) * size_t(d)), room.near_panels.resize(panelled(own.count) * size_t(d));
    for (int64_t b = first; b < stop; b++) {
      const int64_t far = b * prefix.row_stride + g * prefix.head_stride;
      const int64_t near = b * own.row_stride + g * own.head_stride;
      const float *far_keys = prefix.keys, *far_values = prefix.values;
      if (P && (b == first || prefix.row_stride)) pack_keys(far_keys + far, P, d, room.far_panels.data());
      pack_keys(own.keys + near, own.count, d, room.near_panels.data());
      attend_row(shape, own, P, P ? far_values + far : nullptr, own.values + near, sight,
                    sight.mask ? sight.mask + b * sight.row_stride : nullptr, num_tokens,
                    q + (b * shape.num_heads + g * heads) * num_tokens * d,
                    out + (b * num_tokens * shape.num_heads + g * heads) * d, room);
    }
  }
}

}  // namespace
