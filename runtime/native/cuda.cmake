# kernels.fatbin: the CUDA kernels for every GPU from Turing (7.5) to Blackwell (12.1) that nvcc knows, and PTX for later ones.
# cuda.json says what was built or why not. -DBR2NET_NVCC names the compiler; -DBR2NET_CUDA=OFF leaves all of this out.
option(BR2NET_CUDA "Build the CUDA kernels where nvcc is found" ON)
set(BR2NET_PYTHON "python3" CACHE STRING "The Python among whose packages nvcc is looked for, too")

function(br2net_cuda_facts reason version architectures)
  string(REPLACE ";" "\", \"" list "${architectures}")
  if(list)
    set(list "\"${list}\"")
  endif()
  file(WRITE "${CMAKE_CURRENT_BINARY_DIR}/cuda.json"
    "{\"reason\": \"${reason}\", \"nvcc\": \"${version}\", \"architectures\": [${list}]}\n")
  if(reason)
    message(STATUS "No CUDA kernels: ${reason}")
  endif()
endfunction()

if(NOT BR2NET_CUDA)
  br2net_cuda_facts("they were switched off when this was installed" "" "")
  return()
endif()

# NVIDIA's packages of nvcc put it into site-packages/nvidia/cuNN/bin.
execute_process(
  COMMAND "${BR2NET_PYTHON}" -c
    "import pathlib, sys; print(';'.join(str(f.parent) for p in sys.path for f in pathlib.Path(p).glob('nvidia/cu*/bin/nvcc')))"
  OUTPUT_VARIABLE packaged OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
find_program(BR2NET_NVCC nvcc HINTS "$ENV{CUDA_HOME}/bin" "$ENV{CUDA_PATH}/bin" PATHS /usr/local/cuda/bin ${packaged})
if(NOT BR2NET_NVCC)
  br2net_cuda_facts("no nvcc was found when this was installed" "" "")
  return()
endif()

execute_process(COMMAND "${BR2NET_NVCC}" --version OUTPUT_VARIABLE nvcc_version ERROR_QUIET)
string(REGEX MATCH "V[0-9]+\\.[0-9]+\\.[0-9]+" nvcc_version "${nvcc_version}")
string(REPLACE "V" "" nvcc_version "${nvcc_version}")
execute_process(COMMAND "${BR2NET_NVCC}" --list-gpu-code OUTPUT_VARIABLE known ERROR_QUIET)
string(REGEX MATCHALL "sm_[0-9]+" known "${known}")
set(numbers "")
foreach(code ${known})
  string(REPLACE "sm_" "" number "${code}")
  if(number GREATER_EQUAL 75 AND number LESS_EQUAL 121)
    list(APPEND numbers ${number})
  endif()
endforeach()
list(REMOVE_DUPLICATES numbers)
list(SORT numbers COMPARE NATURAL)

set(targets "")
set(architectures "")
foreach(number ${numbers})
  list(APPEND targets -gencode "arch=compute_${number},code=sm_${number}")
  list(APPEND architectures "sm_${number}")
  set(newest ${number})
endforeach()
set(flags -std=c++17 -O3 --fmad=false -ccbin "${CMAKE_CXX_COMPILER}")

# An nvcc that does not go with this C++ compiler is found out here, not in the midst of the build.
file(WRITE "${CMAKE_CURRENT_BINARY_DIR}/probe.cu" "extern \"C\" __global__ void probe(float *value) { *value += 1.0f; }\n")
if(numbers)
  execute_process(
    COMMAND "${BR2NET_NVCC}" ${flags} -fatbin -arch=sm_${newest} -o "${CMAKE_CURRENT_BINARY_DIR}/probe.fatbin"
      "${CMAKE_CURRENT_BINARY_DIR}/probe.cu"
    RESULT_VARIABLE probed OUTPUT_QUIET ERROR_QUIET)
endif()
if(NOT numbers OR NOT probed EQUAL 0)
  br2net_cuda_facts("nvcc ${nvcc_version} does not work with ${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION}" "" "")
  return()
endif()
list(APPEND targets -gencode "arch=compute_${newest},code=compute_${newest}")
list(APPEND architectures "compute_${newest}")

set(fatbin "${CMAKE_CURRENT_BINARY_DIR}/kernels.fatbin")
add_custom_command(
  OUTPUT "${fatbin}"
  COMMAND "${BR2NET_NVCC}" ${flags} ${targets} -fatbin -o "${fatbin}" "${CMAKE_CURRENT_SOURCE_DIR}/kernels.cu"
  DEPENDS kernels.cu arithmetic.h interface.h
  COMMENT "CUDA kernels for ${architectures}"
  VERBATIM)
add_custom_target(br2net_fatbin ALL DEPENDS "${fatbin}")
br2net_cuda_facts("" "${nvcc_version}" "${architectures}")
