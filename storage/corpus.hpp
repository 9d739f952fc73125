// What is searched for passages: the sections of some documents, under a version that names exactly these. Kept in a store,
// so that a node which starts has the corpus that its conversations were answered from.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "policy/corpus_change.hpp"
#include "storage/store.hpp"

namespace troupe::storage {

using policy::Section;

struct Corpus {
  static constexpr std::size_t sections_max = std::size_t{1} << 16;
  static constexpr std::size_t name_bytes_max = 1024;  ///< of a key or a heading as well
  static constexpr std::size_t text_bytes_max = std::size_t{64} << 10;
  static constexpr std::size_t bytes_max = std::size_t{64} << 20;  ///< of all keys, names, headings and texts

  /// Of the record of corpus_documents.hpp, in the same column. Versions are hexadecimal, so no section's key is equal to it.
  static constexpr std::string_view catalogue_key = "documents";

  std::string version;  ///< the first 16 hexadecimal digits of SHA-256 over all sections, in their order
  std::vector<Section> sections;
  friend bool operator==(const Corpus&, const Corpus&) = default;
};

/// What make_corpus asks of each section: `too_large` beyond a limit, `invalid_argument` for an empty key.
Result<void> check_section(const Section& section);

/// `too_large` beyond a limit; `invalid_argument` for an empty key or one that is there twice.
Result<Corpus> make_corpus(std::vector<Section> sections);

/// Writes the corpus in pieces, in this order; it becomes the store's with the last one. So a crash in between leaves the
/// corpus that was there, and some sections that nothing reads.
std::vector<WriteBatch> put_corpus(const Corpus& corpus);
/// Nothing if none was put. `corrupt` if what is there does not have the version that it claims.
Result<std::optional<Corpus>> load_corpus(const Store& store);
/// Removes the sections of every corpus but the store's own, in pieces: what was replaced, and what a crash left. Must not run
/// beside the pieces of a put.
Result<std::vector<WriteBatch>> forget_other_corpora(const Store& store);
/// The same of one corpus that is not the store's, without looking at the store.
std::vector<WriteBatch> forget_corpus(const Corpus& corpus);

}  // namespace troupe::storage
