// The C interface of the library, and the structures that the CUDA kernels take by value: plain data, the same on both sides.
#pragma once

#include <stdint.h>

#if defined(__CUDACC__)
#define BR2NET_API
#else
#define BR2NET_API extern "C" __attribute__((visibility("default")))
#endif

namespace br2net {

enum Format : int32_t { kBgr = 0, kNv12 = 1, kYuyv = 2 };

// A frame as a camera gives it. `chroma`: the second plane of NV12. Pitches in bytes, any number not below a row's.
struct Frame {
  const uint8_t* pixels;
  const uint8_t* chroma;
  int64_t pitch;
  int64_t chroma_pitch;
  int32_t width, height;
  int32_t format;
  int32_t unused;
};

// How one side of a frame becomes one side of the input: by area where it shrinks, then linearly where it grows. Output i is the sum
// over k < count[i] of weight[i * taps + k] * pixel[start[i] + k]; after that near_weight[i] and far_weight[i] of near[i], far[i].
struct Axis {
  const int32_t* start;
  const int32_t* count;
  const float* weight;
  const int32_t* near;
  const int32_t* far;
  const int32_t* near_weight;
  const int32_t* far_weight;
  int32_t taps;
  int32_t shrunk;  // length after the area step
};

// How one side of a map becomes one side of a frame.
struct MapSide {
  const int32_t* near;
  const int32_t* far;
  const float* near_weight;
  const float* far_weight;
};

// Where network input goes: planar RGB of `width` x `height`, float or (half = 1) half precision.
struct Input {
  void* planes;
  int32_t width, height;
  int32_t half;
  int32_t unused;
  float scale[3];
  float shift[3];
};

// What is made of a network's map; a null pointer is left out. Rows follow each other without a gap.
struct Pictures {
  float* map;
  uint8_t* grey;
  uint8_t* overlay;     // needs the frame
  int64_t* histogram;   // 256 grey levels; added to
  int64_t* blurred;     // pixels of at least 0.5; added to
  int32_t width, height;
  float opacity;
  int32_t tint[3];      // blue, green, red
};

}  // namespace br2net
