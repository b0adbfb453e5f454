// libcuda.so.1 in host memory: as much of CUDA's driver as pycuda, cuda.bindings and this package call, so that their own
// code runs without a GPU. Work is put off until somebody waits for it. What is not CUDA's to allow returns CUDA's error.
//
// Built by tests/runtime/cuda/test_pycuda.py. BR2NET_TEST_DRIVER_REPORT names a file that gets, at the end of the process,
// how many allocations, streams, events and graphs are left and how often the primary context is still retained.
#include <cuda.h>
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#undef cuEventElapsedTime  // both names are called
#define EXPORT extern "C" __attribute__((visibility("default")))

namespace {

struct Event {
  unsigned long recorded = 0, reached = 0;
  CUstream stream = nullptr;
  bool timed = true;
};

using Work = std::function<void()>;

struct Stream {
  std::deque<Work> work;
  std::vector<Work>* captured = nullptr;
  CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_GLOBAL;
  pthread_t capturer{};
};

struct Graph {
  std::vector<Work> work;
};

std::recursive_mutex guard;
std::map<CUdeviceptr, size_t> device_memory, host_memory;
std::set<Stream*> streams;
std::set<Event*> events;
std::set<Graph*> graphs, executables;
long retained = 0, detached = 0, pushes = 0, pops = 0;
CUresult fault = CUDA_SUCCESS;
size_t limit_bytes = size_t(1) << 30;
int primary = 0;  // its address is the context
thread_local std::vector<CUcontext> stack;

struct Report {
  ~Report() {
    const char* path = std::getenv("BR2NET_TEST_DRIVER_REPORT");
    if (FILE* file = path ? std::fopen(path, "w") : nullptr) {
      std::fprintf(file, "{\"device_memory\": %zu, \"host_memory\": %zu, \"streams\": %zu, \"events\": %zu, ",
                   device_memory.size(), host_memory.size(), streams.size(), events.size());
      std::fprintf(file, "\"graphs\": %zu, \"retained\": %ld, \"detached\": %ld, \"pushes\": %ld, \"pops\": %ld, \"current\": %zu}\n",
                   graphs.size() + executables.size(), retained, detached, pushes, pops, stack.size());
      std::fclose(file);
    }
  }
} report;

bool is_primary(CUcontext context) { return reinterpret_cast<int*>(context) == &primary; }

CUresult entered() {
  if (fault != CUDA_SUCCESS) return fault;
  if (stack.empty()) return CUDA_ERROR_INVALID_CONTEXT;
  return retained > 0 ? CUDA_SUCCESS : CUDA_ERROR_CONTEXT_IS_DESTROYED;
}

Stream* find(CUstream handle) {
  auto* stream = reinterpret_cast<Stream*>(handle);
  return streams.count(stream) ? stream : nullptr;
}

// Whether `size` bytes from `address` on lie in one allocation.
bool holds(const std::map<CUdeviceptr, size_t>& memory, CUdeviceptr address, size_t size) {
  auto after = memory.upper_bound(address);
  if (after == memory.begin()) return false;
  auto [start, length] = *std::prev(after);
  return address + size <= start + length;
}

bool any_capture(bool global_only) {
  for (auto* stream : streams)
    if (stream->captured && !(global_only && stream->mode == CU_STREAM_CAPTURE_MODE_THREAD_LOCAL)) return true;
  return false;
}

bool my_capture() {
  for (auto* stream : streams)
    if (stream->captured && pthread_equal(stream->capturer, pthread_self())) return true;
  return any_capture(true);
}

void give(Stream* stream, Work work) {
  if (stream->captured)
    stream->captured->push_back(std::move(work));
  else
    stream->work.push_back(std::move(work));
}

void drain(Stream* stream) {
  while (!stream->work.empty() && fault == CUDA_SUCCESS) {
    Work next = std::move(stream->work.front());
    stream->work.pop_front();
    next();
  }
}

void reach(Event* event, unsigned long number) {
  while (event->reached < number && fault == CUDA_SUCCESS) {
    Stream* stream = find(event->stream);
    if (!stream || stream->work.empty()) break;
    Work next = std::move(stream->work.front());
    stream->work.pop_front();
    next();
  }
}

CUresult copy(CUdeviceptr to, bool to_host, CUdeviceptr from, bool from_host, size_t size, CUstream handle) {
  if (auto code = entered()) return code;
  Stream* stream = find(handle);
  if (!stream) return CUDA_ERROR_INVALID_HANDLE;
  give(stream, [=] {  // looked up when it is done, as a GPU does: what was freed meanwhile breaks the context
    bool right = (to_host || holds(device_memory, to, size)) && (from_host || holds(device_memory, from, size));
    if (right)
      std::memcpy(reinterpret_cast<void*>(to), reinterpret_cast<void*>(from), size);
    else
      fault = CUDA_ERROR_ILLEGAL_ADDRESS;
  });
  return CUDA_SUCCESS;
}

struct Text {
  CUresult code;
  const char* name;
  const char* text;
};
const Text TEXTS[] = {
    {CUDA_SUCCESS, "CUDA_SUCCESS", "no error"},
    {CUDA_ERROR_INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {CUDA_ERROR_OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {CUDA_ERROR_NOT_INITIALIZED, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
    {CUDA_ERROR_INVALID_CONTEXT, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    {CUDA_ERROR_INVALID_HANDLE, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
    {CUDA_ERROR_CONTEXT_IS_DESTROYED, "CUDA_ERROR_CONTEXT_IS_DESTROYED", "context is destroyed"},
    {CUDA_ERROR_ILLEGAL_ADDRESS, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
    {CUDA_ERROR_NOT_READY, "CUDA_ERROR_NOT_READY", "device not ready"},
    {CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED",
     "operation not permitted when stream is capturing"},
};

}  // namespace

// For tests.
EXPORT void br2net_set_limit(size_t bytes) { limit_bytes = bytes; }
EXPORT void br2net_break(int code) { fault = static_cast<CUresult>(code); }

EXPORT CUresult cuInit(unsigned int) { return CUDA_SUCCESS; }
EXPORT CUresult cuDriverGetVersion(int* version) { return *version = 13000, CUDA_SUCCESS; }
EXPORT CUresult cuGetErrorString(CUresult code, const char** text) {
  for (const auto& item : TEXTS)
    if (item.code == code) return *text = item.text, CUDA_SUCCESS;
  return *text = "unknown error", CUDA_SUCCESS;
}
EXPORT CUresult cuGetErrorName(CUresult code, const char** text) {
  for (const auto& item : TEXTS)
    if (item.code == code) return *text = item.name, CUDA_SUCCESS;
  return *text = "CUDA_ERROR_UNKNOWN", CUDA_SUCCESS;
}

EXPORT CUresult cuDeviceGetCount(int* count) { return *count = 1, CUDA_SUCCESS; }
EXPORT CUresult cuDeviceGet(CUdevice* device, int index) {
  return index == 0 ? (*device = 0, CUDA_SUCCESS) : CUDA_ERROR_INVALID_DEVICE;
}
EXPORT CUresult cuDeviceGetName(char* name, int length, CUdevice) {
  std::snprintf(name, length, "Host Memory");
  return CUDA_SUCCESS;
}
EXPORT CUresult cuDeviceComputeCapability(int* major, int* minor, CUdevice) {
  return *major = 8, *minor = 7, CUDA_SUCCESS;
}
EXPORT CUresult cuDeviceGetAttribute(int* value, CUdevice_attribute attribute, CUdevice) {
  switch (attribute) {
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR: *value = 8; break;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR: *value = 7; break;
    default: *value = 1;
  }
  return CUDA_SUCCESS;
}

EXPORT CUresult cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice) {
  std::lock_guard lock(guard);
  ++retained;
  *context = reinterpret_cast<CUcontext>(&primary);
  return CUDA_SUCCESS;
}
EXPORT CUresult cuDevicePrimaryCtxRelease_v2(CUdevice) {
  std::lock_guard lock(guard);
  return retained > 0 ? (--retained, CUDA_SUCCESS) : CUDA_ERROR_INVALID_CONTEXT;
}
EXPORT CUresult cuCtxPushCurrent_v2(CUcontext context) {
  std::lock_guard lock(guard);
  if (!is_primary(context) || retained == 0) return CUDA_ERROR_INVALID_CONTEXT;
  stack.push_back(context);
  ++pushes;
  return CUDA_SUCCESS;
}
EXPORT CUresult cuCtxPopCurrent_v2(CUcontext* context) {
  std::lock_guard lock(guard);
  if (stack.empty()) return CUDA_ERROR_INVALID_CONTEXT;
  if (context) *context = stack.back();
  stack.pop_back();
  ++pops;
  return CUDA_SUCCESS;
}
// pycuda calls this from the destructor of a primary context that was not detached: wrong of any primary context.
EXPORT CUresult cuCtxDetach(CUcontext) { return ++detached, CUDA_ERROR_INVALID_CONTEXT; }
EXPORT CUresult cuCtxGetCurrent(CUcontext* context) {
  return *context = stack.empty() ? nullptr : stack.back(), CUDA_SUCCESS;
}
EXPORT CUresult cuCtxGetDevice(CUdevice* device) {
  return stack.empty() ? CUDA_ERROR_INVALID_CONTEXT : (*device = 0, CUDA_SUCCESS);
}
EXPORT CUresult cuCtxSynchronize() {
  std::lock_guard lock(guard);
  if (auto code = entered()) return code;
  for (auto* stream : streams) drain(stream);
  return fault;
}

EXPORT CUresult cuMemGetInfo_v2(size_t* free, size_t* total) {
  std::lock_guard lock(guard);
  if (auto code = entered()) return code;
  size_t used = 0;
  for (auto [address, size] : device_memory) used += size;
  return *total = limit_bytes, *free = limit_bytes - used, CUDA_SUCCESS;
}
EXPORT CUresult cuMemAlloc_v2(CUdeviceptr* address, size_t size) {
  std::lock_guard lock(guard);
  if (auto code = entered()) return code;
  if (size == 0) return CUDA_ERROR_INVALID_VALUE;
  size_t used = 0;
  for (auto [start, length] : device_memory) used += length;
  if (used + size > limit_bytes) return CUDA_ERROR_OUT_OF_MEMORY;
  void* memory = std::malloc(size);
  std::memset(memory, 0xA5, size);
  *address = reinterpret_cast<CUdeviceptr>(memory);
  device_memory[*address] = size;
  return CUDA_SUCCESS;
}
EXPORT CUresult cuMemFree_v2(CUdeviceptr address) {
  std::lock_guard lock(guard);
  if (auto code = entered()) return code;
  if (!device_memory.erase(address)) return CUDA_ERROR_INVALID_VALUE;
  std::free(reinterpret_cast<void*>(address));
  return CUDA_SUCCESS;
}
EXPORT CUresult cuMemHostAlloc(void** memory, size_t size, unsigned int) {
  std::lock_guard lock(guard);
  if (auto code = entered()) return code;
  *memory = std::malloc(size);
  std::memset(*memory, 0xA5, size);
  host_memory[reinterpret_cast<CUdeviceptr>(*memory)] = size;
  return CUDA_SUCCESS;
}
EXPORT CUresult cuMemFreeHost(void* memory) {
  std::lock_guard lock(guard);
  if (auto code = entered()) return code;
  if (!host_memory.erase(reinterpret_cast<CUdeviceptr>(memory))) return CUDA_ERROR_INVALID_VALUE;
  std::free(memory);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void* from, size_t size, CUstream stream) {
  std::lock_guard lock(guard);
  return copy(to, false, reinterpret_cast<CUdeviceptr>(from), true, size, stream);
}
EXPORT CUresult cuMemcpyDtoHAsync_v2(void* to, CUdeviceptr from, size_t size, CUstream stream) {
  std::lock_guard lock(guard);
  return copy(reinterpret_cast<CUdeviceptr>(to), true, from, false, size, stream);
}
EXPORT CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t size, CUstream stream) {
  std::lock_guard lock(guard);
  return copy(to, false, from, false, size, stream);
}

EXPORT CUresult cuStreamCreate(CUstream* handle, unsigned int flags) {
  std::lock_guard lock(guard);
  if (auto code = entered()) return code;
  if (flags != CU_STREAM_NON_BLOCKING) return CUDA_ERROR_INVALID_VALUE;  // this package makes no others
  auto* stream = new Stream;
  streams.insert(stream);
  *handle = reinterpret_cast<CUstream>(stream);
  return CUDA_SUCCESS;
}
EXPORT CUresult cuStreamDestroy_v2(CUstream handle) {
  std::lock_guard lock(guard);
  if (auto code = entered()) return code;
  Stream* stream = find(handle);
  if (!stream) return CUDA_ERROR_INVALID_HANDLE;
  drain(stream);
  streams.erase(stream);
  delete stream;
  return CUDA_SUCCESS;
}
EXPORT CUresult cuStreamSynchronize(CUstream handle) {
  std::lock_guard lock(guard);
  if (auto code = entered()) return code;
  Stream* stream = find(handle);
  if (!stream) return CUDA_ERROR_INVALID_HANDLE;
  if (my_capture()) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  drain(stream);
  return fault;
}

EXPORT CUresult cuEventCreate(CUevent* handle, unsigned int flags) {
  std::lock_guard lock(guard);
  if (auto code = entered()) return code;
  auto* event = new Event;
  event->timed = !(flags & CU_EVENT_DISABLE_TIMING);
  events.insert(event);
  *handle = reinterpret_cast<CUevent>(event);
  return CUDA_SUCCESS;
}
EXPORT CUresult cuEventDestroy_v2(CUevent handle) {
  std::lock_guard lock(guard);
  if (auto code = entered()) return code;
  return events.erase(reinterpret_cast<Event*>(handle)) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}
EXPORT CUresult cuEventRecord(CUevent handle, CUstream stream_handle) {
  std::lock_guard lock(guard);
  if (auto code = entered()) return code;
  auto* event = reinterpret_cast<Event*>(handle);
  Stream* stream = find(stream_handle);
  if (!stream || !events.count(event)) return CUDA_ERROR_INVALID_HANDLE;
  event->stream = stream_handle;
  give(stream, [event, number = ++event->recorded] { event->reached = number; });
  return CUDA_SUCCESS;
}
EXPORT CUresult cuEventSynchronize(CUevent handle) {
  std::lock_guard lock(guard);
  if (auto code = entered()) return code;
  auto* event = reinterpret_cast<Event*>(handle);
  if (!events.count(event)) return CUDA_ERROR_INVALID_HANDLE;
  if (my_capture()) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  reach(event, event->recorded);
  return fault;
}
EXPORT CUresult cuEventQuery(CUevent handle) {
  std::lock_guard lock(guard);
  if (auto code = entered()) return code;
  auto* event = reinterpret_cast<Event*>(handle);
  return event->reached < event->recorded ? CUDA_ERROR_NOT_READY : CUDA_SUCCESS;
}
EXPORT CUresult cuEventElapsedTime_v2(float* milliseconds, CUevent first, CUevent second) {
  std::lock_guard lock(guard);
  for (CUevent handle : {first, second}) {
    auto* event = reinterpret_cast<Event*>(handle);
    if (!events.count(event) || !event->timed || !event->recorded) return CUDA_ERROR_INVALID_HANDLE;
    if (event->reached < event->recorded) return CUDA_ERROR_NOT_READY;
  }
  return *milliseconds = 1.0f, CUDA_SUCCESS;
}
EXPORT CUresult cuEventElapsedTime(float* milliseconds, CUevent first, CUevent second) {
  return cuEventElapsedTime_v2(milliseconds, first, second);
}

EXPORT CUresult cuStreamBeginCapture_v2(CUstream handle, CUstreamCaptureMode mode) {
  std::lock_guard lock(guard);
  if (auto code = entered()) return code;
  Stream* stream = find(handle);
  if (!stream) return CUDA_ERROR_INVALID_HANDLE;
  if (stream->captured) return CUDA_ERROR_INVALID_VALUE;
  stream->captured = new std::vector<Work>;
  stream->mode = mode;
  stream->capturer = pthread_self();
  return CUDA_SUCCESS;
}
EXPORT CUresult cuStreamEndCapture(CUstream handle, CUgraph* graph_handle) {
  std::lock_guard lock(guard);
  if (auto code = entered()) return code;
  Stream* stream = find(handle);
  if (!stream || !stream->captured) return CUDA_ERROR_INVALID_VALUE;
  auto* graph = new Graph{*stream->captured};
  delete stream->captured;
  stream->captured = nullptr;
  graphs.insert(graph);
  *graph_handle = reinterpret_cast<CUgraph>(graph);
  return CUDA_SUCCESS;
}
EXPORT CUresult cuGraphInstantiateWithFlags(CUgraphExec* executable, CUgraph handle, unsigned long long) {
  std::lock_guard lock(guard);
  if (auto code = entered()) return code;
  auto* graph = reinterpret_cast<Graph*>(handle);
  if (!graphs.count(graph)) return CUDA_ERROR_INVALID_VALUE;
  auto* made = new Graph{graph->work};
  executables.insert(made);
  *executable = reinterpret_cast<CUgraphExec>(made);
  return CUDA_SUCCESS;
}
EXPORT CUresult cuGraphLaunch(CUgraphExec handle, CUstream stream_handle) {
  std::lock_guard lock(guard);
  if (auto code = entered()) return code;
  auto* graph = reinterpret_cast<Graph*>(handle);
  Stream* stream = find(stream_handle);
  if (!stream || !executables.count(graph)) return CUDA_ERROR_INVALID_VALUE;
  for (const auto& work : graph->work) give(stream, work);
  return CUDA_SUCCESS;
}
EXPORT CUresult cuGraphExecDestroy(CUgraphExec handle) {
  std::lock_guard lock(guard);
  return executables.erase(reinterpret_cast<Graph*>(handle)) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
EXPORT CUresult cuGraphDestroy(CUgraph handle) {
  std::lock_guard lock(guard);
  return graphs.erase(reinterpret_cast<Graph*>(handle)) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

// Kernels: any image has any kernel, which does nothing.
EXPORT CUresult cuModuleLoadDataEx(CUmodule* module, const void*, unsigned int, CUjit_option*, void**) {
  std::lock_guard lock(guard);
  return *module = reinterpret_cast<CUmodule>(&primary), entered();
}
EXPORT CUresult cuModuleUnload(CUmodule) { return entered(); }
EXPORT CUresult cuModuleGetFunction(CUfunction* function, CUmodule, const char*) {
  return *function = reinterpret_cast<CUfunction>(&primary), entered();
}
EXPORT CUresult cuFuncSetBlockShape(CUfunction, int, int, int) { return entered(); }
EXPORT CUresult cuLaunchKernel(CUfunction, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
                               CUstream stream, void**, void**) {
  std::lock_guard lock(guard);
  return find(stream) ? entered() : CUDA_ERROR_INVALID_HANDLE;
}

// cuda.bindings asks for its functions here; one that is not above is none of ours.
EXPORT CUresult cuGetProcAddress_v2(const char* name, void** function, int, cuuint64_t,
                                    CUdriverProcAddressQueryResult* result) {
  *function = nullptr;
  for (const char* suffix : {"WithFlags", "_v2", ""}) {
    if (void* found = dlsym(RTLD_DEFAULT, (std::string(name) + suffix).c_str())) {
      *function = found;
      break;
    }
  }
  if (result) *result = *function ? CU_GET_PROC_ADDRESS_SUCCESS : CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
  return *function ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
}
