// The story as a table, and as a page of its own: both pipelines beside what was reported, how long each question waited, what
// became of it, and the tokens that it took.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "bench/page_parts.hpp"
#include "bench/story.hpp"

namespace troupe::bench {

/// What was compared on what, for a person.
struct StorySetting {
  std::string questions;  ///< the file
  std::string machine;    ///< what computed: "cpu, avx2, 2 threads"
  std::size_t conversations = 0;
  std::size_t questions_count = 0;
  std::size_t turns = 0;    ///< of a conversation, at most
  std::size_t clients = 0;  ///< conversations at a time
  std::size_t runs = 0;
  std::size_t memory_mebibytes = 0;
  float temperature = 0;         ///< of the chain
  bool forget_passages = false;  ///< the chain
  std::uint64_t seed = 0;
};

/// The setting as a sentence without its full stop.
std::string sentence_of(const StorySetting& setting);

/// A line for each number, and in it: the chain, troupe, the factor between them, what was reported, and the mark.
TextTable story_table(const StoryRow& chain, const StoryRow& troupe);

/// Whether all marks are met, in words that end a line.
std::string verdict_of(const StoryComparison& comparison);

/// One HTML document in UTF-8 that needs nothing from elsewhere.
std::string page_of(const StorySetting& setting, const StoryRow& chain, const StoryRow& troupe);

}  // namespace troupe::bench
