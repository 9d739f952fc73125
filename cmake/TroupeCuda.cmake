# CUDA 13's compiler, where there is one: then troupe_cuda_kernels is a library of kernels/cuda/*.cu, and TROUPE_CUDA is on. It is
# CUDACXX, or comes with CUDA, or as PyPI's wheels nvidia-cuda-nvcc, nvidia-nvvm, nvidia-cuda-crt, nvidia-cuda-runtime and
# nvidia-cuda-cccl in one folder, which TROUPE_NCCL_PATHS names (the one that has the folder "nvidia").
#
# Commands of its own rather than CMake's language CUDA: that would hand nvcc the options that all C++ code is compiled with, and
# does not find its way in the wheels' folders.
set(TROUPE_NCCL_PATHS "" CACHE STRING "Where to look for CUDA and NCCL, beside the usual places")
set(TROUPE_CUDA OFF)
if(DEFINED ENV{CUDACXX})
  set(TROUPE_NVCC $ENV{CUDACXX} CACHE FILEPATH "CUDA's compiler")
endif()
find_program(TROUPE_NVCC nvcc HINTS ${TROUPE_NCCL_PATHS} $ENV{CUDA_HOME} /usr/local/cuda PATH_SUFFIXES nvidia/cu13/bin bin
             DOC "CUDA's compiler")
set(cuda_missing "no nvcc")
if(TROUPE_NVCC)
  execute_process(COMMAND ${TROUPE_NVCC} --version OUTPUT_VARIABLE cuda_version ERROR_VARIABLE cuda_version
                  RESULT_VARIABLE cuda_failed)
  string(REGEX MATCH "release [0-9]+\\.[0-9]+" cuda_version "${cuda_version}")
  if(cuda_failed OR NOT cuda_version MATCHES "release 1[3-9]")
    set(cuda_missing "${TROUPE_NVCC} says \"${cuda_version}\"")
  else()
    get_filename_component(TROUPE_CUDA_ROOT ${TROUPE_NVCC} REALPATH)
    get_filename_component(TROUPE_CUDA_ROOT ${TROUPE_CUDA_ROOT}/../.. ABSOLUTE)
    # Static: what is built needs no CUDA where it runs but the driver.
    find_library(TROUPE_CUDART cudart_static HINTS ${TROUPE_CUDA_ROOT} PATH_SUFFIXES lib64 lib targets/x86_64-linux/lib
                 NO_DEFAULT_PATH)
    find_path(TROUPE_CUDA_INCLUDE cuda_bf16.h HINTS ${TROUPE_CUDA_ROOT} PATH_SUFFIXES include targets/x86_64-linux/include
              NO_DEFAULT_PATH)
    if(TROUPE_CUDART AND TROUPE_CUDA_INCLUDE)
      set(TROUPE_CUDA ON)
    else()
      set(cuda_missing "no libcudart_static.a or cuda_bf16.h in ${TROUPE_CUDA_ROOT}")
    endif()
  endif()
endif()

# troupe_use_cuda(folder...): libraries that use the CUDA kernels, where they are built.
function(troupe_use_cuda)
  if(TROUPE_CUDA)
    foreach(folder IN LISTS ARGN)
      target_link_libraries(troupe_${folder} PUBLIC troupe_cuda_kernels)
      target_compile_definitions(troupe_${folder} PRIVATE TROUPE_CUDA)
    endforeach()
  else()
    foreach(folder IN LISTS ARGN)
      get_target_property(sources troupe_${folder} SOURCES)
      list(FILTER sources EXCLUDE REGEX "/cuda_[^/]*\\.cpp$")
      set_target_properties(troupe_${folder} PROPERTIES SOURCES "${sources}")
    endforeach()
  endif()
endfunction()

if(NOT TROUPE_CUDA)
  message(STATUS "CUDA 13's compiler is not here: ${cuda_missing} (TROUPE_NCCL_PATHS names more places); no CUDA kernels are built")
  return()
endif()
message(STATUS "CUDA's compiler: ${TROUPE_NVCC} (${cuda_version})")

# troupe_cuda_sources(target source...): adds .cu files to a target.
function(troupe_cuda_sources target)
  set(root ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/..)
  get_filename_component(root ${root} ABSOLUTE)
  set(folder ${CMAKE_CURRENT_BINARY_DIR}/${target}_cuda)
  file(MAKE_DIRECTORY ${folder})
  set(options -std=c++20 -O3 -gencode=arch=compute_90a,code=sm_90a --compress-mode=size -Xcompiler=-fPIC,-Wall,-Wextra
      -Xcompiler=-ffile-prefix-map=${root}/= -I${root})
  if(NOT TL_EXPECTED_INCLUDE_DIR IN_LIST CMAKE_CXX_IMPLICIT_INCLUDE_DIRECTORIES)
    list(APPEND options -isystem=${TL_EXPECTED_INCLUDE_DIR})
  endif()
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    list(APPEND options -ccbin=${CMAKE_CXX_COMPILER})
  endif()
  foreach(source IN LISTS ARGN)
    get_filename_component(source ${source} ABSOLUTE)
    get_filename_component(name ${source} NAME)
    set(object ${folder}/${name}.o)
    add_custom_command(
      OUTPUT ${object}
      COMMAND ${CMAKE_CXX_COMPILER_LAUNCHER} ${TROUPE_NVCC} ${options} -MD -MF ${object}.d -c ${source} -o ${object}
      DEPENDS ${source} DEPFILE ${object}.d
      COMMENT "Compiling ${name} with nvcc" VERBATIM)
    set_source_files_properties(${object} PROPERTIES EXTERNAL_OBJECT ON GENERATED ON)
    target_sources(${target} PRIVATE ${object})
  endforeach()
endfunction()

get_filename_component(cuda_folder ${CMAKE_CURRENT_LIST_DIR}/../kernels/cuda ABSOLUTE)
file(GLOB cuda_sources CONFIGURE_DEPENDS ${cuda_folder}/*.cu)
file(GLOB cuda_host_sources CONFIGURE_DEPENDS ${cuda_folder}/*.cpp)
add_library(troupe_cuda_kernels STATIC ${cuda_host_sources})
set_target_properties(troupe_cuda_kernels PROPERTIES LINKER_LANGUAGE CXX)
troupe_cuda_sources(troupe_cuda_kernels ${cuda_sources})
get_filename_component(cuda_folder ${CMAKE_CURRENT_LIST_DIR}/.. ABSOLUTE)
target_include_directories(troupe_cuda_kernels PUBLIC ${cuda_folder})
target_include_directories(troupe_cuda_kernels SYSTEM PUBLIC ${TROUPE_CUDA_INCLUDE})
target_link_libraries(troupe_cuda_kernels PUBLIC ${TROUPE_CUDART} Threads::Threads ${CMAKE_DL_LIBS} rt)
# They use each other, so that a linker has to look at both again.
target_link_libraries(troupe_cuda_kernels INTERFACE $<LINK_ONLY:troupe_kernels>)
