// swiglu.hpp in double.
#pragma once

#include <cmath>

namespace troupe::reference {

inline double swiglu(double gate, double up) { return gate / (1 + std::exp(-gate)) * up; }

}  // namespace troupe::reference
