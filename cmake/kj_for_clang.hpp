// Cap'n Proto 0.9.2 leaves these comparisons to C++20's rewritten operators, which clang, by a later rule of the language
// (P2468), does not use where there is an operator!= as well. Included before everything where clang compiles or reads what
// uses KJ.
#pragma once

#if defined(__clang__)
#include <kj/string.h>

namespace kj {
inline bool operator==(const char* a, const StringPtr& b) { return b == a; }
inline bool operator!=(const char* a, const StringPtr& b) { return !(b == a); }
}  // namespace kj
#endif
