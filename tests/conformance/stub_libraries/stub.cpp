// The nine functions that NVIDIA's Python bindings of TensorRT 10 and 11 ask of their libraries. Importing the bindings
// calls some of the registries; each answers with nothing.
#define STUB(type, name) \
    extern "C" type name(...) \
    { \
        return type(); \
    }

using Pointer = void*;

#if defined(STUB_NVINFER)
STUB(Pointer, createInferBuilder_INTERNAL)
STUB(Pointer, createInferRuntime_INTERNAL)
STUB(Pointer, createInferRefitter_INTERNAL)
STUB(Pointer, getPluginRegistry)
STUB(Pointer, getBuilderPluginRegistry)
#elif defined(STUB_NVONNXPARSER)
STUB(Pointer, createNvOnnxParser_INTERNAL)
STUB(Pointer, createNvOnnxParserRefitter_INTERNAL)
STUB(int, getNvOnnxParserVersion)
#elif defined(STUB_NVINFER_PLUGIN)
STUB(bool, initLibNvInferPlugins)
#endif
