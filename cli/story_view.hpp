// How the results of `troupe bench story` are shown.
#pragma once

#include <cstddef>
#include <iosfwd>
#include <nlohmann/json.hpp>
#include <string>

#include "bench/story.hpp"

namespace troupe::cli {

/// What was compared on what.
struct StorySetting {
  std::string questions;
  std::string machine;
  std::size_t conversations = 0;
  std::size_t questions_count = 0;
  std::size_t turns = 0;
  std::size_t clients = 0;
  std::size_t runs = 0;
  std::size_t memory_mebibytes = 0;
  float temperature = 0;  ///< of the chain
  bool forget_passages = false;
  std::uint64_t seed = 0;
};

void print_story(std::ostream& stream, const StorySetting& setting, const bench::StoryRow& chain,
                 const bench::StoryRow& troupe);
nlohmann::ordered_json json_of(const StorySetting& setting, const bench::StoryRow& chain, const bench::StoryRow& troupe);

}  // namespace troupe::cli
