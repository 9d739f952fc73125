// Functions whose last bit depends on nothing but their argument: libm's depend on its version and on the processor it finds.
// The float ones are the same sequence of operations as their sixteen-lane forms in the kernels.
#pragma once

namespace troupe::kernels {

/// e^x in float, error below 1 unit in the last place, denormal results included; 0 below -103.98, infinity above 88.73,
/// NaN for NaN.
float exp(float x);
/// Natural logarithm in float, error below 1 unit in the last place, denormal arguments included; -infinity for 0 and -0,
/// infinity for infinity, NaN for NaN and below 0.
float log(float x);

/// In double, for tables: relative error below 1e-15 for a normal positive base and a finite exponent (anything else is a
/// bug of the caller); infinity and, through denormals that may be rounded twice, 0 beyond the range of a double.
double pow(double base, double exponent);
/// In double, for tables: absolute error below 1e-15 for |x| < 2^24 (beyond is a bug of the caller); NaN for NaN.
double sine(double x);
double cosine(double x);

}  // namespace troupe::kernels
