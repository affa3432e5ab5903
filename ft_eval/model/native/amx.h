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

namespace {

constexpr int64_t kTile = 16;       // rows, outputs, or pairs of terms of one tile
constexpr int64_t kTileBytes = 64;  // of one of its rows

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

// sums (low + high, 32) over `steps` times 32 terms; rows as packed by AmxTiles, in two tiles or one
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

// a kernel of `multiply`, by two tiles of rows at the most
struct AmxTiles {
  using E = uint32_t;
  static constexpr int64_t kHeight = 2 * kTile;
  static constexpr int64_t kLone = 4096;  // as kAhead, for tiles of 2 KiB of weights

  static int64_t num_terms(int64_t K) { return K / 2; }

  // rows of x (rows, K) as (K / 32, rows, 32), those of one tile after those of the other
  static void pack(const bf16* x, int64_t rows, int64_t K, E* packed) {
    for (int64_t row = 0; row < rows; row += kTile, x += kTile * K, packed += kTile * K / 2)
      pack_tile(x, std::min(kTile, rows - row), K, packed);
  }

  void operator()(const E* packed, int64_t rows, int64_t terms, int64_t k, const E* w, int64_t count, float* sums,
                  Ahead ahead) {
    const int64_t low = std::min(kTile, rows), high = rows - low;
    if (low != shaped[0] || high != shaped[1]) shape_tiles(shaped[0] = low, shaped[1] = high);
    (high ? amx_tile<true> : amx_tile<false>)(packed + k * low, low, packed + low * terms + k * high, high, w,
                                              count / kTile, sums, k > 0, ahead);
  }

  ~AmxTiles() { _tile_release(); }

 private:
  int64_t shaped[2] = {0, 0};

  static void pack_tile(const bf16* x, int64_t rows, int64_t K, E* packed) {
    for (int64_t r = 0; r < rows; r++)
      for (int64_t k = 0; k < K / (2 * kTile); k++)
        _mm512_storeu_si512(packed + (k * rows + r) * kTile, _mm512_loadu_si512(x + r * K + k * 2 * kTile));
  }
};

}  // namespace

#else

namespace {

inline bool amx_allowed() { return false; }

}  // namespace

#endif
