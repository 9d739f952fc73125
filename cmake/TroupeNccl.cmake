# NCCL and CUDA's runtime, where there are any: then troupe_nccl is a library to link, and TROUPE_NCCL is on. Both come with CUDA,
# from a distribution, or as PyPI's wheels nvidia-nccl-cu13 and nvidia-cuda-runtime; TROUPE_NCCL_PATHS names folders to look in
# besides the usual ones (of wheels: the one that has the folder "nvidia"). Headers of an older NCCL go with a newer library.
# The runtime of the compiler, if there is one, since a program may have only one.
set(nccl_places ${TROUPE_CUDA_ROOT} ${TROUPE_NCCL_PATHS} $ENV{CUDA_HOME} /usr/local/cuda)
find_path(NCCL_INCLUDE_DIR nccl.h HINTS ${nccl_places} PATH_SUFFIXES include nvidia/nccl/include)
find_library(NCCL_LIBRARY NAMES nccl libnccl.so.2 NAMES_PER_DIR HINTS ${nccl_places} PATH_SUFFIXES lib lib64 nvidia/nccl/lib)
find_path(CUDART_INCLUDE_DIR cuda_runtime_api.h HINTS ${nccl_places} PATH_SUFFIXES include nvidia/cu13/include)
# Static: what is built needs no CUDA where it runs but the driver, and NCCL.
find_library(CUDART_LIBRARY NAMES cudart_static cudart NAMES_PER_DIR HINTS ${nccl_places} PATH_SUFFIXES lib lib64 nvidia/cu13/lib)
if(NCCL_INCLUDE_DIR AND NCCL_LIBRARY AND CUDART_INCLUDE_DIR AND CUDART_LIBRARY)
  set(TROUPE_NCCL ON)
  add_library(troupe_nccl INTERFACE)
  target_include_directories(troupe_nccl SYSTEM INTERFACE ${NCCL_INCLUDE_DIR} ${CUDART_INCLUDE_DIR})
  target_link_libraries(troupe_nccl INTERFACE ${NCCL_LIBRARY} ${CUDART_LIBRARY} Threads::Threads ${CMAKE_DL_LIBS} rt)
  target_compile_definitions(troupe_nccl INTERFACE TROUPE_WITH_NCCL)
  message(STATUS "NCCL: ${NCCL_LIBRARY}, CUDA's runtime: ${CUDART_LIBRARY}")
else()
  set(TROUPE_NCCL OFF)
  message(STATUS "NCCL is not here: no nccl.h and libnccl, or no CUDA runtime (TROUPE_NCCL_PATHS names more places)")
endif()
