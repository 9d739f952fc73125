// Many layouts, and what they found together.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include "tests/layouts/run.hpp"

namespace troupe::tests::layouts {

struct Summary {
  std::uint64_t layouts = 0;
  std::uint64_t streams = 0;
  std::uint64_t tokens = 0;
  std::set<std::pair<std::size_t, std::size_t>> prompts;  ///< with their model: what was asked again and again
  std::uint64_t differing = 0;                            ///< streams
  std::uint64_t complaints = 0;                           ///< of streams that differ and of books that do not add up
  std::map<std::string_view, std::uint64_t> happened;

  void add(const Layout& layout, const Outcome& outcome) {
    ++layouts;
    for (const Question& question : layout.questions) prompts.emplace(layout.model, question.prompt);
    streams += outcome.streams;
    tokens += outcome.tokens;
    differing += outcome.differing;
    complaints += outcome.complaints.size();
    for (const auto& [what, times] : outcome.happened) happened[what] += times;
  }
};

}  // namespace troupe::tests::layouts
