// The CUDA kernels as a library for the CPU, called as a driver would: by name, with a buffer of arguments.
#include <stddef.h>
#include <string.h>

#include "../../../../runtime/native/kernels.cu"

namespace {

// Takes arguments out of a buffer, each at a multiple of its alignment.
class Arguments {
 public:
  explicit Arguments(const uint8_t* bytes) : bytes_(bytes) {}
  template <class T>
  T next() {
    offset_ = (offset_ + alignof(T) - 1) / alignof(T) * alignof(T);
    T value;
    memcpy(&value, bytes_ + offset_, sizeof value);
    offset_ += sizeof value;
    return value;
  }
  size_t used() const { return offset_; }

 private:
  const uint8_t* bytes_;
  size_t offset_ = 0;
};

template <class Result, class... Parameters>
size_t run(Result (*kernel)(Parameters...), const uint8_t* bytes) {
  size_t used = 0;
  for (blockIdx.y = 0; blockIdx.y < gridDim.y; ++blockIdx.y) {
    for (blockIdx.x = 0; blockIdx.x < gridDim.x; ++blockIdx.x) {
      Arguments arguments(bytes);
      auto call = [&](Parameters... values) { kernel(values...); };
      struct InOrder {
        InOrder(decltype(call)& call, Parameters... values) { call(values...); }
      } in_order{call, arguments.next<Parameters>()...};  // braces: from left to right
      static_cast<void>(in_order);
      used = arguments.used();
    }
  }
  return used;
}

}  // namespace

// Bytes of arguments that the kernel has, 0 where there is no such kernel.
extern "C" size_t emulate(const char* name, unsigned int columns, unsigned int rows, const uint8_t* arguments) {
  gridDim = {columns, rows, 1};
  if (!strcmp(name, "br2net_preprocess")) return run(br2net_preprocess, arguments);
  if (!strcmp(name, "br2net_postprocess")) return run(br2net_postprocess, arguments);
  if (!strcmp(name, "br2net_postprocess_half")) return run(br2net_postprocess_half, arguments);
  return 0;
}
