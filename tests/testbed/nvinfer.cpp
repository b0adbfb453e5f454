// Stands for libnvinfer.so.11: builder, runtime, refitter and plugin registries of TensorRT for RTX.
// The caller's version is replaced by the library's own, which otherwise refuses a caller of another product.
#include "forward.h"

#include <cstdint>

TESTBED_EXPORT void* createInferBuilder_INTERNAL(void* logger, int32_t /*version*/)
{
    return forward<void* (*)(void*, int32_t)>(kCore, "createInferBuilder_INTERNAL")(
        logger, versionOf(kCore, "getInferLibVersion"));
}

TESTBED_EXPORT void* createInferRuntime_INTERNAL(void* logger, int32_t /*version*/)
{
    return forward<void* (*)(void*, int32_t)>(kCore, "createInferRuntime_INTERNAL")(
        logger, versionOf(kCore, "getInferLibVersion"));
}

TESTBED_EXPORT void* createInferRefitter_INTERNAL(void* engine, void* logger, int32_t /*version*/)
{
    return forward<void* (*)(void*, void*, int32_t)>(kCore, "createInferRefitter_INTERNAL")(
        engine, logger, versionOf(kCore, "getInferLibVersion"));
}

TESTBED_EXPORT void* getPluginRegistry()
{
    return forward<void* (*)()>(kCore, "getPluginRegistry")();
}

TESTBED_EXPORT void* getBuilderPluginRegistry(int32_t capability)
{
    return forward<void* (*)(int32_t)>(kCore, "getBuilderPluginRegistry")(capability);
}
