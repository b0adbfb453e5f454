// A few threads that wait for work. They start when first needed and live as long as the process.
#pragma once

#include <cstdint>
#include <functional>

namespace br2net {

// Call work(begin, end) for parts of 0..count until all are done, on at most `threads` threads, the caller's included, and no more
// than have `least` items each. Returns when all is done. `work` must not throw.
void in_parallel(int count, int least, int threads, const std::function<void(int, int)>& work);

}  // namespace br2net
