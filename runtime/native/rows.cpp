#include "rows.h"

#include "arithmetic.h"

// One version of a function for each generation of processor, chosen when the library is loaded. AArch64 has NEON always.
#if BR2NET_VERSIONS == 3
#define BR2NET_CLONES __attribute__((target_clones("default", "avx2", "arch=x86-64-v4")))
#elif BR2NET_VERSIONS == 2
#define BR2NET_CLONES __attribute__((target_clones("default", "avx2")))
#else
#define BR2NET_CLONES
#endif

#define BR2NET_RESTRICT __restrict__

namespace br2net::rows {
namespace {

typedef float Pixel __attribute__((vector_size(16)));  // blue, green, red, and whatever comes after them

BR2NET_INLINE Pixel load_pixel(const float* row) {
  Pixel pixel;
  memcpy(&pixel, row, sizeof pixel);
  return pixel;
}

// Pixels that are made floats at once, in both rows: little enough to stay in the nearest cache until they are summed.
constexpr int kTilePixels = 256;
constexpr int kCacheLine = 64;

template <int kTaps>
BR2NET_INLINE void sum_across_taps(const uint8_t* BR2NET_RESTRICT upper, const uint8_t* BR2NET_RESTRICT lower,
                                   const int32_t* start, const float* weight, int any_taps, int width,
                                   float* BR2NET_RESTRICT tile, float* BR2NET_RESTRICT upper_sums,
                                   float* BR2NET_RESTRICT lower_sums) {
  const int taps = kTaps ? kTaps : any_taps;
  float* BR2NET_RESTRICT lower_tile = tile + tile_floats(taps);
  for (int begin = 0, end; begin < width; begin = end) {
    const int first = start[begin];
    for (end = begin + 1; end < width && start[end] - first < kTilePixels; ++end) {
    }
    const int count = 3 * (start[end - 1] + taps - first);
    const uint8_t* upper_pixels = upper + 3 * static_cast<int64_t>(first);
    const uint8_t* lower_pixels = lower + 3 * static_cast<int64_t>(first);
    for (int i = 0; i < count; i += kCacheLine) {  // the pixels below, which the next call takes; where there are none, no harm
      __builtin_prefetch(upper_pixels + 2 * (lower - upper) + i);
      __builtin_prefetch(lower_pixels + 2 * (lower - upper) + i);
    }
    for (int i = 0; i < count; ++i) tile[i] = static_cast<float>(upper_pixels[i]);
    for (int i = 0; i < count; ++i) lower_tile[i] = static_cast<float>(lower_pixels[i]);
    for (int i = begin; i < end; ++i, weight += taps) {
      const int offset = 3 * (start[i] - first);
      Pixel upper_sum = {}, lower_sum = {};
      for (int tap = 0; tap < taps; ++tap) {
        upper_sum = add_weighted(upper_sum, load_pixel(tile + offset + 3 * tap), weight[tap]);
        lower_sum = add_weighted(lower_sum, load_pixel(lower_tile + offset + 3 * tap), weight[tap]);
      }
      memcpy(upper_sums + kLanes * i, &upper_sum, sizeof upper_sum);
      memcpy(lower_sums + kLanes * i, &lower_sum, sizeof lower_sum);
    }
  }
}

}  // namespace

// Room for the pixels that end in a tile, and one number more.
int tile_floats(int taps) { return 3 * (kTilePixels + taps) + 1; }

BR2NET_CLONES
void sum_across(const uint8_t* upper, const uint8_t* lower, const int32_t* start, const float* weight, int taps, int width,
                float* tile, float* upper_sums, float* lower_sums) {
  switch (taps) {
#define BR2NET_TAPS(n) \
  case n:              \
    return sum_across_taps<n>(upper, lower, start, weight, taps, width, tile, upper_sums, lower_sums);
    BR2NET_TAPS(1)
    BR2NET_TAPS(2)
    BR2NET_TAPS(3)
    BR2NET_TAPS(4)
    BR2NET_TAPS(5)
    BR2NET_TAPS(6)
    BR2NET_TAPS(7)
    BR2NET_TAPS(8)
#undef BR2NET_TAPS
    default:
      return sum_across_taps<0>(upper, lower, start, weight, taps, width, tile, upper_sums, lower_sums);
  }
}

BR2NET_CLONES
void set_weighted(float* BR2NET_RESTRICT sums, const float* BR2NET_RESTRICT row, float weight, int count) {
  for (int i = 0; i < count; ++i) sums[i] = add_weighted(0.0f, row[i], weight);
}

BR2NET_CLONES
void add_weighted_row(float* BR2NET_RESTRICT sums, const float* BR2NET_RESTRICT row, float weight, int count) {
  for (int i = 0; i < count; ++i) sums[i] = add_weighted(sums[i], row[i], weight);
}

BR2NET_CLONES
void to_pixels(const float* BR2NET_RESTRICT sums, float factor, float bias, int width, uint8_t* BR2NET_RESTRICT pixels) {
  for (int i = 0; i < width; ++i) {
    for (int c = 0; c < 3; ++c) {
      pixels[3 * i + c] = static_cast<uint8_t>(static_cast<int>(area_level(sums[kLanes * i + c], factor, bias)));
    }
  }
}

BR2NET_CLONES
void to_planes(const float* BR2NET_RESTRICT sums, float factor, float bias, int width, const float* scale, const float* shift,
               float* BR2NET_RESTRICT red, float* BR2NET_RESTRICT green, float* BR2NET_RESTRICT blue) {
  const float red_scale = scale[0], green_scale = scale[1], blue_scale = scale[2];
  const float red_shift = shift[0], green_shift = shift[1], blue_shift = shift[2];
  for (int i = 0; i < width; ++i) {
    blue[i] = normalised(area_level(sums[kLanes * i], factor, bias), blue_scale, blue_shift);
    green[i] = normalised(area_level(sums[kLanes * i + 1], factor, bias), green_scale, green_shift);
    red[i] = normalised(area_level(sums[kLanes * i + 2], factor, bias), red_scale, red_shift);
  }
}

BR2NET_CLONES
void to_half_planes(const float* BR2NET_RESTRICT sums, float factor, float bias, int width, const float* scale,
                    const float* shift, uint16_t* BR2NET_RESTRICT red, uint16_t* BR2NET_RESTRICT green,
                    uint16_t* BR2NET_RESTRICT blue) {
  const float red_scale = scale[0], green_scale = scale[1], blue_scale = scale[2];
  const float red_shift = shift[0], green_shift = shift[1], blue_shift = shift[2];
  for (int i = 0; i < width; ++i) {
    blue[i] = half_bits(normalised(area_level(sums[kLanes * i], factor, bias), blue_scale, blue_shift));
    green[i] = half_bits(normalised(area_level(sums[kLanes * i + 1], factor, bias), green_scale, green_shift));
    red[i] = half_bits(normalised(area_level(sums[kLanes * i + 2], factor, bias), red_scale, red_shift));
  }
}

BR2NET_CLONES
void linear_across(const uint8_t* row, const int32_t* near, const int32_t* far, const int32_t* near_weight,
                   const int32_t* far_weight, int width, int32_t* BR2NET_RESTRICT result) {
  for (int i = 0; i < width; ++i) {
    const uint8_t* left = row + 3 * static_cast<int64_t>(near[i]);
    const uint8_t* right = row + 3 * static_cast<int64_t>(far[i]);
    for (int c = 0; c < 3; ++c) {
      result[kLanes * i + c] = br2net::linear_across(left[c], near_weight[i], right[c], far_weight[i]);
    }
    result[kLanes * i + 3] = 0;
  }
}

BR2NET_CLONES
void linear_down(const int32_t* BR2NET_RESTRICT near, int near_weight, const int32_t* BR2NET_RESTRICT far, int far_weight,
                 int width, float* BR2NET_RESTRICT sums) {
  for (int i = 0; i < kLanes * width; ++i) {
    sums[i] = static_cast<float>(br2net::linear_down(near[i], near_weight, far[i], far_weight));
  }
}

BR2NET_CLONES
void nv12_to_bgr(const uint8_t* BR2NET_RESTRICT luma, const uint8_t* BR2NET_RESTRICT chroma, int width,
                 uint8_t* BR2NET_RESTRICT pixels) {
  for (int i = 0; i < width / 2; ++i) {
    for (int k = 0; k < 2; ++k) {
      const Bgr pixel = yuv_to_bgr(luma[2 * i + k], chroma[2 * i], chroma[2 * i + 1]);
      pixels[6 * i + 3 * k] = pixel.blue;
      pixels[6 * i + 3 * k + 1] = pixel.green;
      pixels[6 * i + 3 * k + 2] = pixel.red;
    }
  }
}

BR2NET_CLONES
void yuyv_to_bgr(const uint8_t* BR2NET_RESTRICT row, int width, uint8_t* BR2NET_RESTRICT pixels) {
  for (int i = 0; i < width / 2; ++i) {
    for (int k = 0; k < 2; ++k) {
      const Bgr pixel = yuv_to_bgr(row[4 * i + 2 * k], row[4 * i + 1], row[4 * i + 3]);
      pixels[6 * i + 3 * k] = pixel.blue;
      pixels[6 * i + 3 * k + 1] = pixel.green;
      pixels[6 * i + 3 * k + 2] = pixel.red;
    }
  }
}

// Where a map is enlarged, eight neighbours lie within eight pixels of the map: one load and two permutations instead of sixteen
// loads. Only where the compiler has a permutation by variables, and the processors an instruction for it.
BR2NET_CLONES
void map_across(const float* BR2NET_RESTRICT row, int length, const int32_t* near, const int32_t* far, const float* near_weight,
                const float* far_weight, int width, float* BR2NET_RESTRICT result) {
  static_cast<void>(length);
  int i = 0;
#if defined(BR2NET_VERSIONS) && !defined(__clang__)
  typedef float Eight __attribute__((vector_size(32)));
  typedef int32_t EightPlaces __attribute__((vector_size(32)));
  for (; i + 8 <= width; i += 8) {
    const int first = near[i] < length - 8 ? near[i] : length - 8;
    if (first < 0 || far[i + 7] - first >= 8) break;
    Eight pixels, near_weights, far_weights;
    EightPlaces near_places, far_places;
    memcpy(&pixels, row + first, sizeof pixels);
    memcpy(&near_places, near + i, sizeof near_places);
    memcpy(&far_places, far + i, sizeof far_places);
    memcpy(&near_weights, near_weight + i, sizeof near_weights);
    memcpy(&far_weights, far_weight + i, sizeof far_weights);
    const Eight values = __builtin_shuffle(pixels, near_places - first) * near_weights +
                         __builtin_shuffle(pixels, far_places - first) * far_weights;
    memcpy(result + i, &values, sizeof values);
  }
#endif
  for (; i < width; ++i) result[i] = between(row[near[i]], near_weight[i], row[far[i]], far_weight[i]);
}

BR2NET_CLONES
void map_down(const float* near, float near_weight, const float* far, float far_weight, int width,
              float* BR2NET_RESTRICT result) {
  for (int i = 0; i < width; ++i) result[i] = within_0_and_1(between(near[i], near_weight, far[i], far_weight));
}

BR2NET_CLONES
void clip_map(const float* BR2NET_RESTRICT row, int width, float* BR2NET_RESTRICT result) {
  for (int i = 0; i < width; ++i) result[i] = within_0_and_1(row[i]);
}

BR2NET_CLONES
void to_grey(const float* BR2NET_RESTRICT map, int width, uint8_t* BR2NET_RESTRICT grey) {
  for (int i = 0; i < width; ++i) grey[i] = static_cast<uint8_t>(grey_level(map[i]));
}

BR2NET_CLONES
int64_t count_blurred(const float* map, int width) {
  int32_t count = 0;
  for (int i = 0; i < width; ++i) count += map[i] >= 0.5f ? 1 : 0;
  return count;
}

// Four histograms in turn: neighbours are often alike, and adding to the same number twice in a row waits for the first.
void count_levels(const uint8_t* grey, int width, uint32_t* four_histograms) {
  int i = 0;
  for (; i + 4 <= width; i += 4) {
    ++four_histograms[grey[i]];
    ++four_histograms[256 + grey[i + 1]];
    ++four_histograms[512 + grey[i + 2]];
    ++four_histograms[768 + grey[i + 3]];
  }
  for (; i < width; ++i) ++four_histograms[grey[i]];
}

BR2NET_CLONES
void tint_row(const float* BR2NET_RESTRICT map, float opacity, const uint8_t* BR2NET_RESTRICT frame,
              const int16_t* BR2NET_RESTRICT tint, int width, int16_t* BR2NET_RESTRICT weights,
              uint8_t* BR2NET_RESTRICT result) {
  for (int i = 0; i < width; ++i) {
    const int16_t weight = tint_weight(map[i], opacity);
    weights[3 * i] = weight;
    weights[3 * i + 1] = weight;
    weights[3 * i + 2] = weight;
  }
  for (int i = 0; i < 3 * width; ++i) result[i] = tinted(frame[i], tint[i], weights[i]);
}

const char* instructions() {
#if defined(BR2NET_VERSIONS)
  __builtin_cpu_init();
  if (BR2NET_VERSIONS == 3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
    return "avx512";
  }
  return __builtin_cpu_supports("avx2") ? "avx2" : "baseline";
#elif defined(__ARM_NEON)
  return "neon";
#else
  return "baseline";
#endif
}

}  // namespace br2net::rows
