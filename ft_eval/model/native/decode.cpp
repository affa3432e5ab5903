// Decoding on a CPU: linear layers over packed weights, and a block of the decoder for one new token per row.
//
//     M rows    K inputs    N outputs    B sequences    D hidden size    H query heads    G key-value heads
//     d head dimension    P keys of a prefix that all rows share    T float or bfloat16
//
// A row's numbers depend on that row alone: every sum runs over its terms in order, in one accumulator per output,
// however many rows there are and however many threads. Sums are in float32; results are rounded to T where PyTorch's
// single operators round. Needs AVX-512 (and AVX512_BF16 for bfloat16). Knows no tensor and no allocator of PyTorch's.
#include "pieces.h"
#include "prefill.h"
#include "readout.h"

namespace {

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

// y = round(x + R), R the code's row of W
template <typename T>
void add_code(const T* x, const T* table, int64_t code, int64_t size, T* y) {
  for (int64_t i = 0; i < size; i += 16) {
    const __m512 r = code < 0 ? _mm512_setzero_ps() : load16(table + code * size + i);
    store16(y + i, _mm512_add_ps(load16(x + i), r));
  }
}

template <typename T>
void block(const Shape& shape, const Layer& layer, const Memory& memory, const Step& step, const T* table) {
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
  if (table) {
    s.kv_normed.resize(size_t(B * D));
    for (int64_t b = 0; b < B; b++) add_code(x + b * D, table, step.codes[b], D, s.kv_normed.data() + b * D);
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
    block<T>(shape, layers[i], memories[i], step, i ? nullptr : static_cast<const T*>(step.table));
}

}  // namespace

extern "C" {

// 2 where AMX multiplies, 1 where AVX512_BF16 does, 0 where there are no kernels for bfloat16
int64_t ft_has_bf16() {
#ifdef __AVX512BF16__
  return amx_allowed() ? 2 : 1;
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

// `count` blocks, one after the other, on one new token per row; 1, and nothing done, where a code is no row of W
int64_t ft_blocks(const Shape* shape, const Layer* layers, const Memory* memories, int64_t count, const Step* step) {
  for (int64_t b = 0; step->codes && b < step->num_rows; b++)
    if (step->codes[b] < -1 || step->codes[b] >= step->num_codes) return 1;
#ifdef __AVX512BF16__
  if (shape->is_bf16) return blocks<bf16>(*shape, layers, memories, count, *step), 0;
#endif
  return blocks<float>(*shape, layers, memories, count, *step), 0;
}

// one block on many new tokens per row, in float alone
void ft_prefill(const Shape* shape, const Layer* layer, const Pass* pass) { prefill(*shape, *layer, *pass); }

// `largest` and `log_sums` (rows) are left out where they are none
void ft_readout(int64_t is_bf16, const void* scores, int64_t rows, int64_t V, int64_t* likeliest, float* largest,
                float* log_sums, int64_t threads) {
#ifdef __AVX512BF16__
  if (is_bf16)
    return readout(static_cast<const bf16*>(scores), rows, V, likeliest, largest, log_sums, int(threads));
#endif
  readout(static_cast<const float*>(scores), rows, V, likeliest, largest, log_sums, int(threads));
}

}  // extern "C"