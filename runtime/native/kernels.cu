// The CUDA kernels: one thread for each pixel that is written. The arithmetic and its order are those of the CPU library.
#include <cuda_fp16.h>

#include "arithmetic.h"
#include "interface.h"

namespace {

using br2net::Axis;
using br2net::Bgr;
using br2net::Frame;
using br2net::Input;
using br2net::Pictures;

struct Levels {
  float blue, green, red;
};

__device__ Bgr pixel_of(const Frame& frame, int x, int y) {
  const uint8_t* row = frame.pixels + y * frame.pitch;
  if (frame.format == br2net::kNv12) {
    const uint8_t* chroma = frame.chroma + (y / 2) * frame.chroma_pitch + (x & ~1);
    return br2net::yuv_to_bgr(row[x], chroma[0], chroma[1]);
  }
  if (frame.format == br2net::kYuyv) {
    const uint8_t* pair = row + 4 * (x / 2);
    return br2net::yuv_to_bgr(pair[2 * (x & 1)], pair[1], pair[3]);
  }
  return {row[3 * x], row[3 * x + 1], row[3 * x + 2]};
}

// Grey levels of one pixel after the area step.
__device__ Levels area_pixel(const Frame& frame, const Axis& across, const Axis& down, float factor, float bias, int x, int y) {
  const float* across_weight = across.weight + x * across.taps;
  const float* down_weight = down.weight + y * down.taps;
  Levels sum = {0.0f, 0.0f, 0.0f};
  for (int j = 0; j < down.count[y]; ++j) {
    Levels row = {0.0f, 0.0f, 0.0f};
    for (int i = 0; i < across.count[x]; ++i) {
      const Bgr pixel = pixel_of(frame, across.start[x] + i, down.start[y] + j);
      row.blue = br2net::add_weighted(row.blue, static_cast<float>(pixel.blue), across_weight[i]);
      row.green = br2net::add_weighted(row.green, static_cast<float>(pixel.green), across_weight[i]);
      row.red = br2net::add_weighted(row.red, static_cast<float>(pixel.red), across_weight[i]);
    }
    sum.blue = br2net::add_weighted(sum.blue, row.blue, down_weight[j]);
    sum.green = br2net::add_weighted(sum.green, row.green, down_weight[j]);
    sum.red = br2net::add_weighted(sum.red, row.red, down_weight[j]);
  }
  return {br2net::area_level(sum.blue, factor, bias), br2net::area_level(sum.green, factor, bias),
          br2net::area_level(sum.red, factor, bias)};
}

__device__ float linear_level(const Axis& across, const Axis& down, int x, int y, float near_near, float near_far, float far_near,
                              float far_far) {
  const int upper = br2net::linear_across(static_cast<int>(near_near), across.near_weight[x], static_cast<int>(near_far),
                                          across.far_weight[x]);
  const int lower = br2net::linear_across(static_cast<int>(far_near), across.near_weight[x], static_cast<int>(far_far),
                                          across.far_weight[x]);
  return static_cast<float>(br2net::linear_down(upper, down.near_weight[y], lower, down.far_weight[y]));
}

__device__ void store(const Input& input, int64_t index, int channel, float level) {
  const float value = br2net::normalised(level, input.scale[channel], input.shift[channel]);
  if (input.half) {
    static_cast<__half*>(input.planes)[index] = __float2half_rn(value);
  } else {
    static_cast<float*>(input.planes)[index] = value;
  }
}

}  // namespace

// Grid: over the input's width and height.
extern "C" __global__ void br2net_preprocess(Frame frame, Axis across, Axis down, float factor, float bias, Input input) {
  const int x = blockIdx.x * blockDim.x + threadIdx.x;
  const int y = blockIdx.y * blockDim.y + threadIdx.y;
  if (x >= input.width || y >= input.height) return;
  Levels levels;
  if (across.shrunk == input.width && down.shrunk == input.height) {
    levels = area_pixel(frame, across, down, factor, bias, x, y);
  } else {
    const int left = across.near[x], right = across.far[x], upper = down.near[y], lower = down.far[y];
    const Levels a = area_pixel(frame, across, down, factor, bias, left, upper);
    const Levels b = area_pixel(frame, across, down, factor, bias, right, upper);
    const Levels c = area_pixel(frame, across, down, factor, bias, left, lower);
    const Levels d = area_pixel(frame, across, down, factor, bias, right, lower);
    levels = {linear_level(across, down, x, y, a.blue, b.blue, c.blue, d.blue),
              linear_level(across, down, x, y, a.green, b.green, c.green, d.green),
              linear_level(across, down, x, y, a.red, b.red, c.red, d.red)};
  }
  const int64_t plane = static_cast<int64_t>(input.width) * input.height;
  const int64_t index = static_cast<int64_t>(y) * input.width + x;
  store(input, index, 0, levels.red);
  store(input, plane + index, 1, levels.green);
  store(input, 2 * plane + index, 2, levels.blue);
}

namespace {

__device__ float map_value(const float* map, int64_t index) { return map[index]; }
__device__ float map_value(const __half* map, int64_t index) { return __half2float(map[index]); }

// A value of the map at one place of the frame, within 0..1.
template <class Value>
__device__ float value_at(const Value* map, int map_width, const br2net::MapSide& across, const br2net::MapSide& down, int x, int y) {
  const int64_t upper = static_cast<int64_t>(down.near[y]) * map_width, lower = static_cast<int64_t>(down.far[y]) * map_width;
  const float near = br2net::between(map_value(map, upper + across.near[x]), across.near_weight[x],
                                     map_value(map, upper + across.far[x]), across.far_weight[x]);
  const float far = br2net::between(map_value(map, lower + across.near[x]), across.near_weight[x],
                                    map_value(map, lower + across.far[x]), across.far_weight[x]);
  return br2net::within_0_and_1(br2net::between(near, down.near_weight[y], far, down.far_weight[y]));
}

// Grid: over the frame's width; over its height as many rows of blocks as wanted, each of which takes every so-manieth row. A block
// counts for itself first, so fewer and longer blocks have less to add up.
template <class Value>
__device__ void postprocess(const Value* map, int map_width, int map_height, const br2net::MapSide& across,
                            const br2net::MapSide& down, const Frame& frame, const Pictures& pictures) {
  __shared__ unsigned int levels[256];
  __shared__ unsigned int block_blurred;
  const int thread = threadIdx.y * blockDim.x + threadIdx.x;
  const int threads = blockDim.x * blockDim.y;
  for (int i = thread; i < 256; i += threads) levels[i] = 0;
  if (thread == 0) block_blurred = 0;
  __syncthreads();

  const int x = blockIdx.x * blockDim.x + threadIdx.x;
  const bool same_size = map_width == pictures.width && map_height == pictures.height;
  unsigned int blurred = 0;
  for (int y = blockIdx.y * blockDim.y + threadIdx.y; x < pictures.width && y < pictures.height; y += gridDim.y * blockDim.y) {
    const int64_t index = static_cast<int64_t>(y) * pictures.width + x;
    const float value = same_size ? br2net::within_0_and_1(map_value(map, index)) : value_at(map, map_width, across, down, x, y);
    const int level = br2net::grey_level(value);
    blurred += value >= 0.5f ? 1u : 0u;
    if (pictures.map) pictures.map[index] = value;
    if (pictures.grey) pictures.grey[index] = static_cast<uint8_t>(level);
    if (pictures.histogram) atomicAdd(&levels[level], 1u);
    if (pictures.overlay) {
      const int16_t weight = br2net::tint_weight(value, pictures.opacity);
      const uint8_t* pixel = frame.pixels + y * frame.pitch + 3 * static_cast<int64_t>(x);
      for (int c = 0; c < 3; ++c) {
        pictures.overlay[3 * index + c] = br2net::tinted(pixel[c], static_cast<int16_t>(pictures.tint[c]), weight);
      }
    }
  }
  if (blurred) atomicAdd(&block_blurred, blurred);
  __syncthreads();
  if (pictures.histogram) {
    for (int i = thread; i < 256; i += threads) {
      if (levels[i]) atomicAdd(reinterpret_cast<unsigned long long*>(pictures.histogram + i), static_cast<unsigned long long>(levels[i]));
    }
  }
  if (pictures.blurred && thread == 0 && block_blurred) {
    atomicAdd(reinterpret_cast<unsigned long long*>(pictures.blurred), static_cast<unsigned long long>(block_blurred));
  }
}

}  // namespace

extern "C" __global__ void br2net_postprocess(const float* map, int map_width, int map_height, br2net::MapSide across,
                                              br2net::MapSide down, Frame frame, Pictures pictures) {
  postprocess(map, map_width, map_height, across, down, frame, pictures);
}

extern "C" __global__ void br2net_postprocess_half(const __half* map, int map_width, int map_height, br2net::MapSide across,
                                                   br2net::MapSide down, Frame frame, Pictures pictures) {
  postprocess(map, map_width, map_height, across, down, frame, pictures);
}
