// Documents cut into pieces of equal size that overlap, as retrieval pipelines usually cut them: without a look at where a
// section begins. What `troupe bench story` has its baseline search.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "storage/corpus.hpp"

namespace troupe::bench {

struct ChunkSize {
  std::size_t bytes = 500;    ///< of a chunk; more by the rest of a word
  std::size_t overlap = 100;  ///< that a chunk has of the end of the one before it; below `bytes`
};

/// The chunks of each document in turn; `sections` are whole documents, section after section, as read_markdown gives them. A
/// chunk's key is "document~1", "document~2", ..., its name that of the document without the section's number.
std::vector<storage::Section> overlapping_chunks(std::span<const storage::Section> sections, const ChunkSize& size);

}  // namespace troupe::bench
