// From a frame to network input in one pass over the frame: each of its rows is read once, summed across, and added to the rows of
// the input that it lies in, while it is in the nearest cache. A frame that grows takes a second step, from the first one's pixels.
#include <algorithm>
#include <array>
#include <memory>
#include <new>
#include <vector>

#include "axes.h"
#include "rows.h"
#include "threads.h"

namespace br2net {
namespace {

using rows::kLanes;
constexpr int kLeastPixels = 1 << 16;  // a thread that does less costs more than it brings

// Rows of a frame as blue, green, red.
class FrameRows {
 public:
  explicit FrameRows(const Frame& frame) : frame_(frame) {
    for (auto& pixels : pixels_) pixels.resize(frame.format == kBgr ? 0 : 3 * frame.width);
  }

  // Row y; the one before stays valid.
  const uint8_t* row(int y) {
    const uint8_t* source = frame_.pixels + y * frame_.pitch;
    if (frame_.format == kBgr) return source;
    uint8_t* pixels = pixels_[y % 2].data();
    if (frame_.format == kNv12) {
      rows::nv12_to_bgr(source, frame_.chroma + (y / 2) * frame_.chroma_pitch, frame_.width, pixels);
    } else {
      rows::yuyv_to_bgr(source, frame_.width, pixels);
    }
    return pixels;
  }

 private:
  const Frame& frame_;
  std::vector<uint8_t> pixels_[2];
};

// Weights across in which every output has the same number of taps within the row: those that are missing weigh nothing.
struct EvenTaps {
  EvenTaps(const AxisTable& axis, int length) : start(axis.start), weight(axis.weight.size(), 0.0f) {
    for (int i = 0; i < axis.shrunk; ++i) {
      start[i] = std::min(axis.start[i], length - axis.taps);
      const size_t first = static_cast<size_t>(i) * axis.taps;
      std::copy(axis.weight.begin() + first, axis.weight.begin() + first + axis.count[i],
                weight.begin() + first + (axis.start[i] - start[i]));
    }
  }
  std::vector<int32_t> start;
  std::vector<float> weight;
};

// All that follows from the sizes alone.
struct Geometry {
  Geometry(int frame_width, int frame_height, int width, int height)
      : sizes{frame_width, frame_height, width, height}, plan(frame_width, frame_height, width, height), taps(plan.across, frame_width) {}
  std::array<int, 4> sizes;
  Plan plan;
  EvenTaps taps;
};

// That of this thread's last call where the sizes are the same: a camera's frames all are.
const Geometry& geometry_of(const Frame& frame, const Input& input) {
  static thread_local std::unique_ptr<const Geometry> last;
  if (!last || last->sizes != std::array<int, 4>{frame.width, frame.height, input.width, input.height}) {
    last = std::make_unique<const Geometry>(frame.width, frame.height, input.width, input.height);
  }
  return *last;
}

// Rows of summed pixels of a frame that is shrunk by area.
class AreaRows {
 public:
  AreaRows(const Frame& frame, const Plan& plan, const EvenTaps& taps)
      : frame_(frame), plan_(plan), taps_(taps), source_(frame), floats_(kLanes * plan.across.shrunk),
        tile_(2 * rows::tile_floats(plan.across.taps)), sums_(floats_) {
    for (auto& row : across_) row.resize(floats_);
  }

  // Row i of the result. Ascending rows are what it is made for.
  const float* row(int i) {
    const AxisTable& down = plan_.down;
    const float* weight = down.weight.data() + static_cast<size_t>(i) * down.taps;
    for (int k = 0; k < down.count[i]; ++k) {
      const float* across = summed_across(down.start[i] + k);
      (k ? rows::add_weighted_row : rows::set_weighted)(sums_.data(), across, weight[k], floats_);
    }
    return sums_.data();
  }

 private:
  static constexpr int kKept = 4;

  // Row y of the frame, summed across. Two rows are made at once, and four are kept.
  const float* summed_across(int y) {
    if (made_[y % kKept] != y) {
      const int next = std::min(y + 1, frame_.height - 1);
      const uint8_t* upper = source_.row(y);
      rows::sum_across(upper, next == y ? upper : source_.row(next), taps_.start.data(), taps_.weight.data(), plan_.across.taps,
                       plan_.across.shrunk, tile_.data(), across_[y % kKept].data(), across_[(y + 1) % kKept].data());
      made_[(y + 1) % kKept] = next == y ? -1 : next;
      made_[y % kKept] = y;
    }
    return across_[y % kKept].data();
  }

  const Frame& frame_;
  const Plan& plan_;
  const EvenTaps& taps_;
  FrameRows source_;
  int floats_;
  std::vector<float> tile_, sums_, across_[kKept];
  int made_[kKept] = {-1, -1, -1, -1};
};

// Rows of grey levels (as summed pixels) of a frame that is enlarged linearly.
class LinearRows {
 public:
  LinearRows(const Frame& frame, const Plan& plan, int width) : plan_(plan), width_(width), source_(frame), sums_(kLanes * width) {
    for (auto& row : across_) row.resize(kLanes * width);
  }

  const float* row(int i) {
    const AxisTable& down = plan_.down;
    const int32_t* near = enlarged_across(down.near[i]);
    const int32_t* far = enlarged_across(down.far[i]);
    rows::linear_down(near, down.near_weight[i], far, down.far_weight[i], width_, sums_.data());
    return sums_.data();
  }

 private:
  const int32_t* enlarged_across(int y) {
    if (made_[y % 2] != y) {
      const AxisTable& across = plan_.across;
      rows::linear_across(source_.row(y), across.near.data(), across.far.data(), across.near_weight.data(),
                          across.far_weight.data(), width_, across_[y % 2].data());
      made_[y % 2] = y;
    }
    return across_[y % 2].data();
  }

  const Plan& plan_;
  int width_;
  FrameRows source_;
  std::vector<float> sums_;
  std::vector<int32_t> across_[2];
  int made_[2] = {-1, -1};
};

void write_row(const float* sums, float factor, float bias, const Input& input, int y) {
  const int64_t plane = static_cast<int64_t>(input.width) * input.height;
  const int64_t offset = static_cast<int64_t>(y) * input.width;
  if (input.half) {
    uint16_t* red = static_cast<uint16_t*>(input.planes) + offset;
    rows::to_half_planes(sums, factor, bias, input.width, input.scale, input.shift, red, red + plane, red + 2 * plane);
  } else {
    float* red = static_cast<float*>(input.planes) + offset;
    rows::to_planes(sums, factor, bias, input.width, input.scale, input.shift, red, red + plane, red + 2 * plane);
  }
}

// Rows of the input that are worth a thread.
int least_rows(int64_t pixels, int rows) {
  return static_cast<int>(static_cast<int64_t>(kLeastPixels) * rows / std::max<int64_t>(pixels, 1)) + 1;
}

void preprocess(const Frame& frame, const Input& input, int threads) {
  const Geometry& geometry = geometry_of(frame, input);
  const Plan& plan = geometry.plan;
  const EvenTaps& taps = geometry.taps;
  const int64_t pixels = std::max(static_cast<int64_t>(frame.width) * frame.height, static_cast<int64_t>(input.width) * input.height);
  Frame source = frame;
  std::vector<uint8_t> shrunk;
  if (plan.grows() && plan.shrinks()) {
    const int width = plan.across.shrunk, height = plan.down.shrunk;
    shrunk.resize(static_cast<size_t>(3) * width * height);
    in_parallel(height, least_rows(pixels, height), threads, [&](int begin, int end) {
      AreaRows area(frame, plan, taps);
      for (int y = begin; y < end; ++y) {
        rows::to_pixels(area.row(y), plan.factor, plan.bias, width, shrunk.data() + static_cast<size_t>(3) * width * y);
      }
    });
    source = {shrunk.data(), nullptr, 3 * static_cast<int64_t>(width), 0, width, height, kBgr, 0};
  }
  in_parallel(input.height, least_rows(pixels, input.height), threads, [&](int begin, int end) {
    if (plan.grows()) {
      LinearRows linear(source, plan, input.width);
      for (int y = begin; y < end; ++y) write_row(linear.row(y), 1.0f, 0.0f, input, y);
    } else {
      AreaRows area(frame, plan, taps);
      for (int y = begin; y < end; ++y) write_row(area.row(y), plan.factor, plan.bias, input, y);
    }
  });
}

}  // namespace
}  // namespace br2net

// Fill `input` with a frame. 0 when done; 1 where there was not enough memory.
BR2NET_API int br2net_preprocess(const br2net::Frame* frame, const br2net::Input* input, int threads) {
  try {
    br2net::preprocess(*frame, *input, threads);
    return 0;
  } catch (const std::bad_alloc&) {
    return 1;
  }
}
