// Loops over one row: all of the library's hot code, compiled once for each generation of processor (rows.cpp).
#pragma once

#include <stdint.h>

namespace br2net::rows {

constexpr int kLanes = 4;  // a summed pixel: blue, green, red and one that means nothing

// Two rows of pixels summed across into two rows of `width` summed pixels. `start` (ascending) and `weight` (`taps` for each output)
// must lie within the row. `tile`: room for 2 * tile_floats(taps).
void sum_across(const uint8_t* upper, const uint8_t* lower, const int32_t* start, const float* weight, int taps, int width,
                float* tile, float* upper_sums, float* lower_sums);
int tile_floats(int taps);

// sums = (or +=) row * weight, over `count` floats.
void set_weighted(float* sums, const float* row, float weight, int count);
void add_weighted_row(float* sums, const float* row, float weight, int count);

// Summed pixels to grey levels, as pixels, or as three planes (red, green, blue) of normalised floats or halves.
void to_pixels(const float* sums, float factor, float bias, int width, uint8_t* pixels);
void to_planes(const float* sums, float factor, float bias, int width, const float* scale, const float* shift, float* red,
               float* green, float* blue);
void to_half_planes(const float* sums, float factor, float bias, int width, const float* scale, const float* shift,
                    uint16_t* red, uint16_t* green, uint16_t* blue);

// One row of pixels, linearly across into a row of `width` fixed-point pixels of kLanes.
void linear_across(const uint8_t* row, const int32_t* near, const int32_t* far, const int32_t* near_weight,
                   const int32_t* far_weight, int width, int32_t* result);
// Two such rows, linearly down, as summed pixels whose sums are grey levels.
void linear_down(const int32_t* near, int near_weight, const int32_t* far, int far_weight, int width, float* sums);

void nv12_to_bgr(const uint8_t* luma, const uint8_t* chroma, int width, uint8_t* pixels);
void yuyv_to_bgr(const uint8_t* row, int width, uint8_t* pixels);

// A row of a map: linearly across, then down; within 0..1.
void map_across(const float* row, int length, const int32_t* near, const int32_t* far, const float* near_weight, const float* far_weight,
                int width, float* result);
void map_down(const float* near, float near_weight, const float* far, float far_weight, int width, float* result);
void clip_map(const float* row, int width, float* result);

void to_grey(const float* map, int width, uint8_t* grey);
int64_t count_blurred(const float* map, int width);
void count_levels(const uint8_t* grey, int width, uint32_t* four_histograms);
// `weights`: room for 3 * width. `tint`: blue, green, red, again and again, 3 * width.
void tint_row(const float* map, float opacity, const uint8_t* frame, const int16_t* tint, int width, int16_t* weights,
              uint8_t* result);

// Which of its versions this processor runs: `avx512`, `avx2`, `neon`, or `baseline`.
const char* instructions();

}  // namespace br2net::rows
