// The weights that the CUDA kernels are given, computed here.
#include <new>
#include <vector>

#include "axes.h"

// How a frame becomes input: two `axes` (across, down), and what br2net_preprocess needs besides. The tables are this thread's, until
// its next call. 0 when done; 1 where there was not enough memory.
BR2NET_API int br2net_plan(int frame_width, int frame_height, int width, int height, br2net::Axis* axes, float* factor_and_bias) {
  static thread_local std::vector<br2net::Plan> plan;
  try {
    plan.clear();
    plan.emplace_back(frame_width, frame_height, width, height);
  } catch (const std::bad_alloc&) {
    return 1;
  }
  axes[0] = plan[0].across.view();
  axes[1] = plan[0].down.view();
  factor_and_bias[0] = plan[0].factor;
  factor_and_bias[1] = plan[0].bias;
  return 0;
}

// How a map becomes a frame's size: two `sides` (across, down), as above.
BR2NET_API int br2net_map_plan(int map_width, int map_height, int width, int height, br2net::MapSide* sides) {
  static thread_local std::vector<br2net::MapAxis> axes;
  try {
    axes.clear();
    axes.emplace_back(map_width, width);
    axes.emplace_back(map_height, height);
  } catch (const std::bad_alloc&) {
    return 1;
  }
  sides[0] = axes[0].view();
  sides[1] = axes[1].view();
  return 0;
}
