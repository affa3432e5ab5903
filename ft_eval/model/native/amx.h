// Products in bfloat16 by AMX: tiles of 16 rows and 16 outputs, over the same panels as every other product.
//
//     M rows    K inputs, a multiple of 32    N outputs
//
// An output is still one sum in one order: a tile adds pair after pair of terms to its 256 accumulators, each for itself.
// Knows no block.
#pragma once

#include "panels.h"

#ifdef __AMX_BF16__

#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

namespace {

constexpr int64_t kTile = 16;       // rows, outputs, or pairs of terms of one tile
constexpr int64_t kTileBytes = 64;  // of one of its rows
constexpr int64_t kAheadAmx = 4096;  // bytes: as kAhead, for tiles of 2 KiB of weights

// whether Linux lets this process use tiles; asked once, for all of its threads
inline bool amx_allowed() {
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  static const bool allowed = syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
  return allowed;
}

inline bool amx_takes(const Linear& layer) { return layer.num_inputs % (2 * kTile) == 0 && amx_allowed(); }

struct alignas(64) TileShapes {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
};

// tiles 0 1 / 2 3: sums of two times 16 rows and 16 outputs; 4 5: rows; 6 7: weights
inline void shape_tiles(int64_t low, int64_t high) {
  TileShapes shapes;
  const int64_t rows[] = {low, low, high, high, low, high, kTile, kTile};
  for (int i = 0; i < 8; i++)
    if (rows[i]) shapes.rows[i] = uint8_t(rows[i]), shapes.row_bytes[i] = uint16_t(kTileBytes);
  _tile_loadconfig(&shapes);
}

// sums (low + high, 32) over `steps` times 32 terms; rows as packed by pack_tiles, in two tiles or one
template <bool kTwo>
void amx_tile(const uint32_t* low, int64_t num_low, const uint32_t* high, int64_t num_high, const uint32_t* w,
              int64_t steps, float* sums, bool goes_on, Ahead ahead) {
  constexpr int64_t kSumBytes = kPanel * int64_t(sizeof(float));
  float* below = sums + num_low * kPanel;
  asm volatile("" ::: "memory");  // not every compiler knows that tiles are read from memory
  if (goes_on) {
    _tile_loadd(0, sums, kSumBytes);
    _tile_loadd(1, sums + kTile, kSumBytes);
    if constexpr (kTwo) {
      _tile_loadd(2, below, kSumBytes);
      _tile_loadd(3, below + kTile, kSumBytes);
    }
  } else {
    _tile_zero(0);
    _tile_zero(1);
    if constexpr (kTwo) {
      _tile_zero(2);
      _tile_zero(3);
    }
  }
  for (int64_t step = 0; step < steps; step++, low += num_low * kTile, high += num_high * kTile, w += kTile * kPanel) {
    for (int64_t pair = 0; pair < kTile; pair++) ahead.ask();
    _tile_loadd(6, w, 2 * kTileBytes);
    _tile_loadd(7, w + kTile, 2 * kTileBytes);
    _tile_loadd(4, low, kTileBytes);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    if constexpr (kTwo) {
      _tile_loadd(5, high, kTileBytes);
      _tile_dpbf16ps(2, 5, 6);
      _tile_dpbf16ps(3, 5, 7);
    }
  }
  _tile_stored(0, sums, kSumBytes);
  _tile_stored(1, sums + kTile, kSumBytes);
  if constexpr (kTwo) {
    _tile_stored(2, below, kSumBytes);
    _tile_stored(3, below + kTile, kSumBytes);
  }
  asm volatile("" ::: "memory");
}

// rows of x (rows, K) as (K / 32, rows, 32)
inline void pack_tiles(const bf16* x, int64_t rows, int64_t K, uint32_t* packed) {
  for (int64_t r = 0; r < rows; r++)
    for (int64_t k = 0; k < K / (2 * kTile); k++)
      _mm512_storeu_si512(packed + (k * rows + r) * kTile, _mm512_loadu_si512(x + r * K + k * 2 * kTile));
}

// y (M, N) = x (M, K) W^T + bias, or y += it
inline void amx_linear(const Linear& layer, const bf16* x, bf16* y, int64_t M, bool adds, int threads) {
  const int64_t N = layer.num_outputs, K = layer.num_inputs, terms = K / 2, panels = (N + kPanel - 1) / kPanel;
  const uint32_t* weight = static_cast<const uint32_t*>(layer.weight);
  const bf16* bias = static_cast<const bf16*>(layer.bias);
  static thread_local std::vector<uint32_t> kept;
  kept.resize(size_t(std::min(M, kRowBlock) * terms));
  uint32_t* packed = kept.data();
#pragma omp parallel num_threads(threads) if (threads > 1)
  {
    std::vector<float> sums(size_t(std::min(M, kRowBlock) * kPanel));
    int64_t shaped[2] = {0, 0};
    for (int64_t begin = 0; begin < M; begin += kRowBlock) {
      const int64_t rows = std::min(kRowBlock, M - begin), pairs = (rows + 2 * kTile - 1) / (2 * kTile);
      auto height = [&](int64_t row) { return std::clamp<int64_t>(rows - row, 0, kTile); };
#pragma omp for schedule(static)
      for (int64_t row = 0; row < rows; row += kTile)
        pack_tiles(x + (begin + row) * K, height(row), K, packed + row * terms);
#pragma omp for schedule(static)
      for (int64_t p = 0; p < panels; p++) {
        const uint32_t* w = weight + p * terms * kPanel;
        const int64_t block = pairs > 1 ? kSumBlock : terms;
        for (int64_t k = 0; k < terms; k += block)
          for (int64_t t = 0; t < pairs; t++) {
            const int64_t row = t * 2 * kTile, low = height(row), high = height(row + kTile);
            if (low != shaped[0] || high != shaped[1]) shape_tiles(shaped[0] = low, shaped[1] = high);
            const int64_t count = std::min(block, terms - k);
            const uint32_t *first = packed + row * terms + k * low, *second = packed + (row + kTile) * terms + k * high;
            const Ahead ahead = ahead_of(w + k * kPanel, count, t, pairs, kAheadAmx);
            (high ? amx_tile<true> : amx_tile<false>)(first, low, second, high, w + k * kPanel, count / kTile,
                                                      sums.data() + row * kPanel, k > 0, ahead);
          }
        finish<bf16>(sums.data(), rows, bias ? bias + p * kPanel : nullptr, y + begin * N + p * kPanel, N,
                     std::min(kPanel, N - p * kPanel), adds);
      }
    }
    _tile_release();
  }
}

}  // namespace

#else

namespace {

inline bool amx_allowed() { return false; }
inline bool amx_takes(const Linear&) { return false; }
inline void amx_linear(const Linear&, const bf16*, bf16*, int64_t, bool, int) {}

}  // namespace

#endif
