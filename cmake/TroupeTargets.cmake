# How a folder becomes a library, and the flags that everything is compiled with.

# Bits do not survive contraction or reassociation: multiply-adds are fused only where the code says fma.
add_compile_options(-Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -ffp-contract=off -fno-math-errno)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND NOT TROUPE_SANITIZE)
  add_compile_options(-Werror) # elsewhere the set of warnings is another one, and sanitizers make g++ see things
endif()
# g++ 12 sees overlaps in std::string's operator+ that are not there (GCC bug 105651).
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  add_compile_options(-Wno-restrict)
endif()
if(TROUPE_SANITIZE)
  add_compile_options(-fsanitize=${TROUPE_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${TROUPE_SANITIZE})
endif()
if(TROUPE_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

# Paths in messages and debug information begin at the repository root, whether the compiler was handed an absolute path or,
# by ccache, one relative to the build folder.
file(RELATIVE_PATH TROUPE_ROOT_FROM_BUILD ${PROJECT_BINARY_DIR} ${PROJECT_SOURCE_DIR})
add_compile_options(-ffile-prefix-map=${PROJECT_SOURCE_DIR}/= -ffile-prefix-map=${TROUPE_ROOT_FROM_BUILD}=)

# One cache serves every checkout: paths under the source folder are hashed relative to it, and the working directory is not.
# The sloppiness is what ccache asks for where precompiled headers are used.
find_program(TROUPE_CCACHE ccache)
if(TROUPE_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER
      ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} CCACHE_NOHASHDIR=1
      ${TROUPE_CCACHE})
endif()

# troupe_library(folder dependency...): all .cpp of the folder as target troupe_<folder>, a slash in its path as "_".
function(troupe_library folder)
  string(REPLACE "/" "_" name troupe_${folder})
  file(GLOB sources CONFIGURE_DEPENDS ${folder}/*.cpp)
  if(NOT sources)
    add_library(${name} INTERFACE)
    set(scope INTERFACE)
  else()
    add_library(${name} STATIC ${sources})
    set(scope PUBLIC)
  endif()
  target_include_directories(${name} ${scope} ${PROJECT_SOURCE_DIR})
  foreach(dependency IN LISTS ARGN)
    string(REPLACE "/" "_" dependency ${dependency})
    if(TARGET troupe_${dependency})
      target_link_libraries(${name} ${scope} troupe_${dependency})
    else()
      target_link_libraries(${name} ${scope} ${dependency})
    endif()
  endforeach()
endfunction()

# troupe_headers(folder header...): the large headers of a library that all of a folder's files need, compiled once.
function(troupe_headers folder)
  string(REPLACE "/" "_" name troupe_${folder})
  get_target_property(type ${name} TYPE)
  if(NOT type STREQUAL "INTERFACE_LIBRARY")
    target_precompile_headers(${name} PRIVATE ${ARGN})
  endif()
endfunction()

# troupe_schemas(name...): schemas/<name>.capnp becomes "schemas/<name>.capnp.h" and a part of troupe_schemas.
function(troupe_schemas)
  set(folder ${PROJECT_BINARY_DIR}/generated)
  foreach(name IN LISTS ARGN)
    set(schema schemas/${name}.capnp)
    if(NOT EXISTS ${PROJECT_SOURCE_DIR}/${schema})
      continue()
    endif()
    add_custom_command(
      OUTPUT ${folder}/${schema}.c++ ${folder}/${schema}.h
      COMMAND ${CMAKE_COMMAND} -E make_directory ${folder}
      COMMAND ${CAPNP_COMPILER} compile -oc++:${folder} ${schema}
      DEPENDS ${PROJECT_SOURCE_DIR}/${schema}
      WORKING_DIRECTORY ${PROJECT_SOURCE_DIR}
      COMMENT "Compiling ${schema}" VERBATIM)
    list(APPEND generated ${folder}/${schema}.c++ ${folder}/${schema}.h)
  endforeach()
  if(generated)
    # A library of its own: the house's warnings are not for generated code.
    add_library(troupe_generated STATIC ${generated})
    target_compile_options(troupe_generated PRIVATE -w)
    target_include_directories(troupe_generated SYSTEM PUBLIC ${folder})
    target_link_libraries(troupe_generated PUBLIC PkgConfig::CAPNP_RPC)
    if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
      target_compile_options(troupe_generated PUBLIC -include ${PROJECT_SOURCE_DIR}/cmake/kj_for_clang.hpp)
    endif()
    get_target_property(type troupe_schemas TYPE)
    if(type STREQUAL "INTERFACE_LIBRARY")
      target_link_libraries(troupe_schemas INTERFACE troupe_generated)
    else()
      target_link_libraries(troupe_schemas PUBLIC troupe_generated)
    endif()
  endif()
endfunction()

# Kernels run fast in every build type. kernels/targets/<isa>.cpp compiles the same arithmetic once per instruction set.
function(troupe_kernel_targets)
  target_compile_options(troupe_kernels PRIVATE -O3)
  file(GLOB targets CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/kernels/targets/*.cpp)
  target_sources(troupe_kernels PRIVATE ${targets})
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    set_source_files_properties(${PROJECT_SOURCE_DIR}/kernels/targets/avx2.cpp PROPERTIES COMPILE_OPTIONS "-mavx2;-mfma")
    set_source_files_properties(${PROJECT_SOURCE_DIR}/kernels/targets/avx512.cpp
                                PROPERTIES COMPILE_OPTIONS "-mavx512f;-mavx512bw;-mavx512vl;-mavx512dq;-mfma;-mprefer-vector-width=512")
  endif()
endfunction()
