// One client's whole conversation, written down.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "policy/ask.hpp"
#include "tests/cluster/troupe_of.hpp"

namespace troupe::tests {

/// What is asked in a conversation, and the bits that its answers are to have.
struct Script {
  std::vector<policy::Ask> asks;
  std::vector<std::string> expected;
};

/// What a client saw.
struct Told {
  struct Turn {
    std::string problem;  ///< why there is no committed end; empty if there is
    Heard heard;
    std::vector<std::chrono::steady_clock::time_point> times;  ///< of the events
    std::string bits;                                          ///< as bits_of has them
  };
  std::vector<Turn> turns;     ///< one for each that was asked
  std::size_t in_history = 0;  ///< turns, at the end
};

/// Opens a conversation over the first of the addresses that answers and asks one after the other, whatever happens to the
/// nodes meanwhile. `on_tokens` is called at each event with tokens.
Told converse(const std::vector<std::string>& addresses, const Script& script, const std::function<void()>& on_tokens);

}  // namespace troupe::tests
