// Stands for libnvinfer_plugin.so.11: there is no plugin to register, BR²Net needs none.
#include "forward.h"

TESTBED_EXPORT bool initLibNvInferPlugins(void* /*logger*/, char const* /*namespace*/)
{
    return true;
}
