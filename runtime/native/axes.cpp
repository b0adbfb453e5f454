#include "axes.h"

#include <algorithm>
#include <cfloat>
#include <cmath>

namespace br2net {
namespace {

constexpr double kLeastCover = 1e-3;  // a pixel that is covered less than this is left out

// Place i of `wanted` along a side of `length` pixels: the pixel before it, and how far behind that one it is.
struct Place {
  int before;
  float fraction;
};
Place place(int i, int length, int wanted) {
  const double scale = 1.0 / (static_cast<double>(wanted) / length);
  const float position = static_cast<float>((i + 0.5) * scale - 0.5);
  const int before = static_cast<int>(std::floor(position));
  return {before, position - static_cast<float>(before)};
}

int within(int i, int length) { return std::min(std::max(i, 0), length - 1); }

}  // namespace

AxisTable::AxisTable(int length, int wanted) : shrunk(std::min(length, wanted)) {
  const double scale = 1.0 / (static_cast<double>(shrunk) / length);
  const int whole = static_cast<int>(std::lrint(scale));
  multiple = std::abs(scale - whole) < DBL_EPSILON ? whole : 0;

  struct Cover {
    int first;
    std::vector<float> weights;
  };
  std::vector<Cover> covers;
  for (int i = 0; i < shrunk; ++i) {
    const double begin = i * scale, end = begin + scale, cell = std::min(scale, length - begin);
    const int full_end = std::min(static_cast<int>(std::floor(end)), length - 1);
    const int full_begin = std::min(static_cast<int>(std::ceil(begin)), full_end);
    Cover cover{full_begin, {}};
    if (full_begin - begin > kLeastCover) {
      --cover.first;
      cover.weights.push_back(static_cast<float>((full_begin - begin) / cell));
    }
    cover.weights.insert(cover.weights.end(), full_end - full_begin, static_cast<float>(1.0 / cell));
    if (end - full_end > kLeastCover) {
      cover.weights.push_back(static_cast<float>(std::min(std::min(end - full_end, 1.0), cell) / cell));
    }
    taps = std::max(taps, static_cast<int>(cover.weights.size()));
    covers.push_back(std::move(cover));
  }
  weight.assign(static_cast<size_t>(shrunk) * taps, 0.0f);
  for (int i = 0; i < shrunk; ++i) {
    start.push_back(covers[i].first);
    count.push_back(static_cast<int32_t>(covers[i].weights.size()));
    std::copy(covers[i].weights.begin(), covers[i].weights.end(), weight.begin() + static_cast<size_t>(i) * taps);
  }
  for (int i = 0; i < wanted; ++i) {
    const Place here = place(i, shrunk, wanted);
    near.push_back(within(here.before, shrunk));
    far.push_back(within(here.before + 1, shrunk));
    near_weight.push_back(static_cast<int32_t>(std::lrint((1.0f - here.fraction) * 2048.0f)));
    far_weight.push_back(static_cast<int32_t>(std::lrint(here.fraction * 2048.0f)));
  }
}

Axis AxisTable::view() const {
  return {start.data(), count.data(), weight.data(), near.data(), far.data(), near_weight.data(), far_weight.data(), taps, shrunk};
}

Plan::Plan(int frame_width, int frame_height, int width, int height)
    : across(frame_width, width),
      down(frame_height, height),
      by_area(width < frame_width || height < frame_height || (width == frame_width && height == frame_height)),
      linear(width > frame_width || height > frame_height) {
  if (across.multiple && down.multiple) {
    std::fill(across.weight.begin(), across.weight.end(), 1.0f);
    std::fill(down.weight.begin(), down.weight.end(), 1.0f);
    factor = static_cast<float>(1.0 / (static_cast<double>(across.multiple) * down.multiple));
    bias = across.multiple == 2 && down.multiple == 2 ? 0.125f : 0.0f;  // four pixels: halves go up
  }
  for (int i = 0; i < width; ++i) {  // across, a place beyond the border is the border; down, its row counts twice
    const Place here = place(i, across.shrunk, width);
    if (here.before < 0 || here.before >= across.shrunk - 1) {
      across.near_weight[i] = 2048;
      across.far_weight[i] = 0;
    }
  }
}

MapAxis::MapAxis(int length, int wanted) {
  for (int i = 0; i < wanted; ++i) {
    const Place here = place(i, length, wanted);
    const bool beyond = here.before < 0 || here.before >= length - 1;
    near.push_back(within(here.before, length));
    far.push_back(within(here.before + 1, length));
    near_weight.push_back(beyond ? 1.0f : 1.0f - here.fraction);
    far_weight.push_back(beyond ? 0.0f : here.fraction);
  }
}

}  // namespace br2net
