// Stands for libnvonnxparser.so.11: the ONNX parser of TensorRT for RTX.
#include "forward.h"

#include <cstdint>

TESTBED_EXPORT void* createNvOnnxParser_INTERNAL(void* network, void* logger, int /*version*/)
{
    return forward<void* (*)(void*, void*, int)>(kParser, "createNvOnnxParser_INTERNAL")(
        network, logger, versionOf(kParser, "getNvOnnxParserVersion"));
}

TESTBED_EXPORT void* createNvOnnxParserRefitter_INTERNAL(void* refitter, void* logger, int32_t /*version*/)
{
    return forward<void* (*)(void*, void*, int32_t)>(kParser, "createNvOnnxParserRefitter_INTERNAL")(
        refitter, logger, versionOf(kParser, "getNvOnnxParserVersion"));
}

TESTBED_EXPORT int getNvOnnxParserVersion()
{
    return versionOf(kParser, "getNvOnnxParserVersion");
}
