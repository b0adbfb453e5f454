// Which pixels of a frame make one pixel of the input, and with which weights: the same rules as cv2.resize has.
#pragma once

#include <cstdint>
#include <vector>

#include "interface.h"

namespace br2net {

// The weights of one side, and room for them.
struct AxisTable {
  AxisTable(int length, int wanted);
  Axis view() const;

  std::vector<int32_t> start, count, near, far, near_weight, far_weight;
  std::vector<float> weight;  // `taps` for each output
  int taps = 1;
  int shrunk;    // length after the area step
  int multiple;  // of the wanted length, where the length is a whole multiple of it; else 0
};

// Both sides of a frame. Where both are whole multiples, the weights are 1, and `factor` is 1 / pixels.
struct Plan {
  Plan(int frame_width, int frame_height, int width, int height);
  bool shrinks() const { return by_area; }
  bool grows() const { return linear; }

  AxisTable across, down;
  float factor = 1.0f;
  float bias = 0.0f;

 private:
  bool by_area, linear;
};

// The two neighbours of each of `wanted` places along a map's side.
struct MapAxis {
  MapAxis(int length, int wanted);
  MapSide view() const { return {near.data(), far.data(), near_weight.data(), far_weight.data()}; }

  std::vector<int32_t> near, far;
  std::vector<float> near_weight, far_weight;
};

}  // namespace br2net
