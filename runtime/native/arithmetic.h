// What happens to one pixel between a camera and a network, and back. Written once: nvcc compiles it into the CUDA kernels, the
// C++ compiler into the CPU library. Both are compiled without fused multiply-add, so that both give the same bits.
#pragma once

#include <stdint.h>
#include <string.h>

#if defined(__CUDACC__)
#define BR2NET_INLINE static __host__ __device__ __forceinline__
#else
#define BR2NET_INLINE static inline __attribute__((always_inline))
#endif

namespace br2net {

struct Bgr {
  uint8_t blue, green, red;
};

BR2NET_INLINE uint8_t saturate(int value) { return static_cast<uint8_t>(value < 0 ? 0 : (value > 255 ? 255 : value)); }

// Video levels (BT.601, luma 16..235) to a pixel, in fixed point with 20 bits.
BR2NET_INLINE Bgr yuv_to_bgr(int y, int u, int v) {
  const int half = 1 << 19;
  const int luma = (y > 16 ? y - 16 : 0) * 1220542;
  u -= 128;
  v -= 128;
  return {saturate((luma + 2116026 * u + half) >> 20), saturate((luma - 409993 * u - 852492 * v + half) >> 20),
          saturate((luma + 1673527 * v + half) >> 20)};
}

// Shrinking by area: the weighted sum over the pixels that a wider pixel covers, first across, then down. T: a channel, or several
// of them in one vector.
template <class T>
BR2NET_INLINE T add_weighted(T sum, T value, float weight) {
  return sum + value * weight;
}

// Nearest whole number, halves to the even one, for |value| < 2^22: adding 1.5 * 2^23 leaves no bits for a fraction.
BR2NET_INLINE float round_to_even(float value) { return (value + 12582912.0f) - 12582912.0f; }

// Grey level of an area's sum: `factor` is 1 where the weights are fractions, else 1 / pixels; `bias` decides halves.
BR2NET_INLINE float area_level(float sum, float factor, float bias) { return round_to_even(sum * factor + bias); }

// Enlarging bilinearly, in fixed point: weights of 11 bits, first across, then down.
BR2NET_INLINE int linear_across(int near, int near_weight, int far, int far_weight) {
  return near * near_weight + far * far_weight;
}
BR2NET_INLINE int linear_down(int near, int near_weight, int far, int far_weight) {
  return (((near >> 4) * near_weight >> 16) + ((far >> 4) * far_weight >> 16) + 2) >> 2;
}

// (level / 255 - mean) / std, as scale = 1 / (255 std) and shift = -mean / std.
BR2NET_INLINE float normalised(float level, float scale, float shift) { return level * scale + shift; }

// IEEE half precision of a number, rounded to the nearest, halves to even.
BR2NET_INLINE uint16_t half_bits(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  const uint32_t sign = bits & 0x80000000u;
  bits ^= sign;
  float magnitude;
  memcpy(&magnitude, &bits, sizeof bits);
  const float aligned = magnitude + 0.5f;  // puts the bits of a number below 2^-14 where half precision has them
  uint32_t small;
  memcpy(&small, &aligned, sizeof small);
  small -= 0x3f000000u;
  const uint32_t normal = (bits + 0xc8000fffu + ((bits >> 13) & 1u)) >> 13;
  const uint32_t large = bits > 0x7f800000u ? 0x7e00u : 0x7c00u;  // not a number, or too large
  const uint32_t half = bits >= 0x47800000u ? large : (bits < 0x38800000u ? small : normal);
  return static_cast<uint16_t>(half | (sign >> 16));
}

// The map between two of its pixels; within 0..1, and not a number stays so.
BR2NET_INLINE float between(float near, float near_weight, float far, float far_weight) {
  return near * near_weight + far * far_weight;
}
BR2NET_INLINE float within_0_and_1(float value) {
  value = value < 0.0f ? 0.0f : value;
  return value > 1.0f ? 1.0f : value;
}

// 0..1 to 0..255; not a number is 0.
BR2NET_INLINE int grey_level(float value) { return static_cast<int>(round_to_even(value > 0.0f ? value * 255.0f : 0.0f)); }

// Weight of the tint with 15 bits, and a channel blended with it; a weight of 0 leaves the channel as it is.
BR2NET_INLINE int16_t tint_weight(float value, float opacity) {
  const float weight = value > 0.0f ? value * opacity * 32768.0f : 0.0f;
  return static_cast<int16_t>(static_cast<int>(round_to_even(weight < 32767.0f ? weight : 32767.0f)));
}
BR2NET_INLINE uint8_t tinted(uint8_t channel, int16_t tint, int16_t weight) {
  const int16_t difference = static_cast<int16_t>(tint - channel);
  const int16_t step = static_cast<int16_t>(((static_cast<int32_t>(difference) * weight >> 14) + 1) >> 1);
  return static_cast<uint8_t>(channel + step);
}

}  // namespace br2net
