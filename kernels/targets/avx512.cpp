#if defined(__x86_64__)
// gcc 12 builds many AVX-512 intrinsics on a value of its own headers that it then finds uninitialised.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif
#include "kernels/targets/lanes_avx512.hpp"
#include "kernels/targets/operations.lanes.hpp"  // after the lanes that it is written in
#endif
