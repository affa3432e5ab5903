// A block of the decoder for many tokens per row, in float. Knows no model.
//
//     B rows    T tokens    D hidden size    H query heads    G key-value heads    d head dimension
//
// Rows of the products are taken a few hundred at a time, so that what lies between two products stays in the cache.
#pragma once

#include "attention_many.h"
#include "pieces.h"

namespace {

struct Pass {
  int64_t num_rows;       // B
  int64_t num_tokens;     // T
  const float* x;         // (B, T, D): the residual stream
  const float* kv_input;  // (B, T, D): what keys and values come from; none: x
  float* y;               // (B, T, D): the residual stream after the block; none: only keys and values are wanted
  const float* cos;       // (B or 1, T, d)
  const float* sin;
  int64_t angle_stride;   // in numbers; 0: all rows have the same positions
  const int64_t* places;  // (B, T): where among the own keys a token's are written; none: in order
  float* keys;            // where the own keys and values are kept; none: nowhere
  float* values;
  Keys own;     // as they are read; its pointers are not used
  Keys prefix;  // nothing is read where its count is 0
  Sight sight;
  int64_t only_queries;  // the keys and values are there already
  int64_t threads;
};

struct PassRoom {  // kept from call to call
  std::vector<float> normed, q, k, v, turned, mixed, gate, up, keys, values;
};

// the tokens from `begin` on: their queries, turned; their keys and values, written where they are kept
void project(const Shape& shape, const Layer& layer, const Pass& pass, const Keys& kept, int64_t begin, int64_t rows,
             PassRoom& s) {
  const int64_t D = shape.hidden_size, d = shape.head_dim, H = shape.num_heads, G = shape.num_kv_heads;
  const int threads = int(pass.threads);
  const float *x = pass.x + begin * D, *norm = static_cast<const float*>(layer.input_norm);
  rms_norms<float>(x, norm, s.normed.data(), rows, D, shape.norm_eps, threads);
  if (pass.y) linear<float>(layer.q, s.normed.data(), s.q.data(), rows, false, threads);
  if (pass.kv_input)
    rms_norms<float>(pass.kv_input + begin * D, norm, s.normed.data(), rows, D, shape.norm_eps, threads);
  if (!pass.only_queries) {
    linear<float>(layer.k, s.normed.data(), s.k.data(), rows, false, threads);
    linear<float>(layer.v, s.normed.data(), s.v.data(), rows, false, threads);
  }
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
  for (int64_t i = 0; i < rows; i++) {
    const int64_t b = (begin + i) / pass.num_tokens, t = (begin + i) % pass.num_tokens;
    const float *cos = pass.cos + b * pass.angle_stride + t * d, *sin = pass.sin + b * pass.angle_stride + t * d;
    for (int64_t h = 0; pass.y && h < H; h++)
      turn<float, float>(s.q.data() + (i * H + h) * d, static_cast<const float*>(layer.q_norm), shape, cos, sin,
                     s.turned.data() + ((b * H + h) * pass.num_tokens + t) * d);
    const int64_t place = b * kept.row_stride + (pass.places ? pass.places[begin + i] : t) * d;
    for (int64_t g = 0; !pass.only_queries && g < G; g++) {
      float* keys = const_cast<float*>(kept.keys) + place + g * kept.head_stride;
      float* values = const_cast<float*>(kept.values) + place + g * kept.head_stride;
      turn<float, float>(s.k.data() + (i * G + g) * d, static_cast<const float*>(layer.k_norm), shape, cos, sin, keys);
      std::memcpy(values, s.v.data() + (i * G + g) * d, size_t(d) * sizeof(float));
    }
  }
}

// y += the MLP of the tokens from `begin` on
void feed(const Shape& shape, const Layer& layer, const Pass& pass, int64_t begin, int64_t rows, PassRoom& s) {
  const int threads = int(pass.threads);
  float* y = pass.y + begin * shape.hidden_size;
  const float* norm = static_cast<const float*>(layer.post_norm);
  rms_norms<float>(y, norm, s.normed.data(), rows, shape.hidden_size, shape.norm_eps, threads);
  linear<float>(layer.gate, s.normed.data(), s.gate.data(), rows, false, threads);
  linear<float>(layer.up, s.normed.data(), s.up.data(), rows, false, threads);
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
  for (int64_t i = 0; i < rows; i++)
    silu_mul<float>(s.gate.data() + i * shape.intermediate_size, s.up.data() + i * shape.intermediate_size,
                    shape.intermediate_size);
  linear<float>(layer.down, s.gate.data(), y, rows, true, threads);
}

void prefill(const Shape& shape, const Layer& layer, const Pass& pass) {
  static thread_local PassRoom s;
  const int64_t D = shape.hidden_size, d = shape.head_dim, all = pass.num_rows * pass.num_tokens;
  const int64_t rows = std::min(all, kRowBlock), wide = shape.num_heads * d, narrow_ = shape.num_kv_heads * d;
  s.normed.resize(size_t(rows * D)), s.q.resize(size_t(rows * wide)), s.k.resize(size_t(rows * narrow_));
  s.v.resize(size_t(rows * narrow_)), s.gate.resize(size_t(rows * shape.intermediate_size));
  s.up.resize(s.gate.size()), s.mixed.resize(size_t(all * wide)), s.turned.resize(size_t(all * wide));
  Keys own = pass.own;
  own.keys = pass.keys, own.values = pass.values;
  if (!pass.keys) {
    s.keys.resize(size_t(all * narrow_)), s.values.resize(size_t(all * narrow_));
    own = {s.keys.data(), s.values.data(), pass.num_tokens * narrow_, pass.num_tokens * d, pass.num_tokens};
  }
  for (int64_t i = 0; i < all; i += kRowBlock)
    project(shape, layer, pass, own, i, std::min(kRowBlock, all - i), s);
  if (!pass.y) return;
  attention_many(shape, pass.prefix, own, pass.sight, pass.num_rows, pass.num_tokens, s.turned.data(), s.mixed.data(),
                 pass.threads);
  std::memcpy(pass.y, pass.x, size_t(all * D) * sizeof(float));
  linear<float>(layer.o, s.mixed.data(), pass.y, all, true, int(pass.threads));
  for (int64_t i = 0; i < all; i += kRowBlock) feed(shape, layer, pass, i, std::min(kRowBlock, all - i), s);
}

}  // namespace
