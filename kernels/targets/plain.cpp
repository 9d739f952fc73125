#include "kernels/targets/lanes_plain.hpp"
#include "kernels/targets/operations.lanes.hpp"  // after the lanes that it is written in
