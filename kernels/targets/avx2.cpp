#if defined(__x86_64__)
#include "kernels/targets/lanes_avx2.hpp"
#include "kernels/targets/operations.lanes.hpp"  // after the lanes that it is written in
#endif
