// A token's number in the vocabulary.
#pragma once

#include <cstdint>

namespace troupe::model {

using TokenId = std::int32_t;

}  // namespace troupe::model
