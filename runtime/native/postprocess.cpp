// From a network's map to pictures of the frame's size in one pass: a row of the map is made, and all that is wanted of it, while it
// is in the nearest cache.
#include <algorithm>
#include <mutex>
#include <new>
#include <vector>

#include "axes.h"
#include "rows.h"
#include "threads.h"

namespace br2net {
namespace {

constexpr int kLeastPixels = 1 << 16;

// Rows of a map of the frame's width, within 0..1.
class MapRows {
 public:
  MapRows(const float* map, int width, const MapAxis& across, const MapAxis& down)
      : map_(map), width_(width), across_(across), down_(down) {
    for (auto& row : rows_) row.resize(across.near.size());
  }

  void row(int i, float* result) {
    const int count = static_cast<int>(across_.near.size());
    const float* near = enlarged_across(down_.near[i]);
    const float* far = enlarged_across(down_.far[i]);
    rows::map_down(near, down_.near_weight[i], far, down_.far_weight[i], count, result);
  }

 private:
  const float* enlarged_across(int y) {
    if (made_[y % 2] != y) {
      rows::map_across(map_ + static_cast<int64_t>(y) * width_, width_, across_.near.data(), across_.far.data(), across_.near_weight.data(),
                       across_.far_weight.data(), static_cast<int>(across_.near.size()), rows_[y % 2].data());
      made_[y % 2] = y;
    }
    return rows_[y % 2].data();
  }

  const float* map_;
  int width_;
  const MapAxis& across_;
  const MapAxis& down_;
  std::vector<float> rows_[2];
  int made_[2] = {-1, -1};
};

void postprocess(const float* map, int map_width, int map_height, const Frame& frame, const Pictures& pictures, int threads) {
  const int width = pictures.width, height = pictures.height;
  const bool same_size = map_width == width && map_height == height;
  const MapAxis across(map_width, same_size ? 0 : width), down(map_height, same_size ? 0 : height);
  std::mutex totals;
  std::vector<int16_t> tint(static_cast<size_t>(3) * width);
  for (int i = 0; i < 3 * width; ++i) tint[i] = static_cast<int16_t>(pictures.tint[i % 3]);

  in_parallel(height, kLeastPixels / width + 1, threads, [&](int begin, int end) {
    MapRows rows(map, map_width, across, down);
    std::vector<float> own(pictures.map ? 0 : width);
    std::vector<uint8_t> own_grey(pictures.grey ? 0 : width);
    std::vector<int16_t> weights(pictures.overlay ? 3 * width : 0);
    std::vector<uint32_t> levels(pictures.histogram ? 4 * 256 : 0);
    int64_t blurred = 0;
    for (int y = begin; y < end; ++y) {
      const int64_t offset = static_cast<int64_t>(y) * width;
      float* row = pictures.map ? pictures.map + offset : own.data();
      if (same_size) {
        rows::clip_map(map + offset, width, row);
      } else {
        rows.row(y, row);
      }
      if (pictures.blurred) blurred += rows::count_blurred(row, width);
      if (pictures.grey || pictures.histogram) {
        uint8_t* grey = pictures.grey ? pictures.grey + offset : own_grey.data();
        rows::to_grey(row, width, grey);
        if (pictures.histogram) rows::count_levels(grey, width, levels.data());
      }
      if (pictures.overlay) {
        rows::tint_row(row, pictures.opacity, frame.pixels + y * frame.pitch, tint.data(), width, weights.data(),
                       pictures.overlay + 3 * offset);
      }
    }
    std::lock_guard<std::mutex> lock(totals);
    if (pictures.blurred) *pictures.blurred += blurred;
    for (size_t i = 0; i < levels.size(); ++i) pictures.histogram[i % 256] += levels[i];
  });
}

}  // namespace
}  // namespace br2net

// Make pictures of a map of `map_width` x `map_height` and a frame (BGR). 0 when done; 1 where there was not enough memory.
BR2NET_API int br2net_postprocess(const float* map, int map_width, int map_height, const br2net::Frame* frame,
                                  const br2net::Pictures* pictures, int threads) {
  try {
    br2net::postprocess(map, map_width, map_height, *frame, *pictures, threads);
    return 0;
  } catch (const std::bad_alloc&) {
    return 1;
  }
}

// What compiled this library, and which of its versions runs here.
BR2NET_API const char* br2net_compiler() { return BR2NET_COMPILER; }
BR2NET_API const char* br2net_instructions() { return br2net::rows::instructions(); }
