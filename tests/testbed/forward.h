// Finds a function of a library that the process has already loaded, and says on stderr which one is missing.
#pragma once

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>

#define TESTBED_EXPORT extern "C" __attribute__((visibility("default")))

constexpr char const* kCore = "libtensorrt_rtx.so.1";
constexpr char const* kParser = "libtensorrt_onnxparser_rtx.so.1";

// The function `symbol` of the loaded library `soname`, as a pointer of type `Function`.
// Looked up in that library alone: both libraries and their forwarders export the same names.
template <typename Function>
Function forward(char const* soname, char const* symbol)
{
    void* const library = dlopen(soname, RTLD_NOLOAD | RTLD_LAZY);
    void* const address = library ? dlsym(library, symbol) : nullptr;
    if (!address)
    {
        std::fprintf(stderr, "test bed: %s is not loaded or has no %s\n", soname, symbol);
        std::abort();
    }
    return reinterpret_cast<Function>(address);
}

// The version number that `soname` expects its callers to have been compiled against.
inline int versionOf(char const* soname, char const* symbol)
{
    return forward<int (*)()>(soname, symbol)();
}
