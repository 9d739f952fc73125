// A corpus as a node answers from it: with its index, and without what its sections say to models.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "actors/context.hpp"
#include "base/log.hpp"
#include "policy/corpus_change.hpp"
#include "storage/corpus_documents.hpp"
#include "storage/retrieval.hpp"

namespace troupe::actors {

/// The keys of the corpus's sections that belong to a question, the best first. Any thread may call it.
using FindSections = std::function<std::vector<std::string>(const std::string& question)>;

/// A corpus and its index, which borrows from it; immutable, so that any number of threads may search it, and go on to while
/// another one takes its place. What its sections say to models (policy/instructions.hpp) is not in it.
struct IndexedCorpus {
  /// Takes seconds for some ten MiB of text.
  explicit IndexedCorpus(storage::CataloguedCorpus all, FindSections find_sections = {});
  explicit IndexedCorpus(storage::Corpus all, FindSections find_sections = {});
  IndexedCorpus(const IndexedCorpus&) = delete;
  IndexedCorpus& operator=(const IndexedCorpus&) = delete;

  /// As it is stored: with everything that its sections say.
  storage::CataloguedCorpus whole() const;
  policy::DocumentPage page(std::size_t from, std::size_t limit) const;
  policy::SearchHits search(std::string_view question, std::size_t limit) const;

  struct LeftOut {
    std::string section;  ///< its key
    std::string sentence;
  };
  std::vector<LeftOut> left_out;
  std::map<std::size_t, std::string> originals;  ///< what sections said, by their places, where something was left out
  const std::vector<policy::DocumentEntry> documents;
  const storage::Corpus corpus;
  const storage::Retrieval index;
  std::unordered_map<std::string_view, std::size_t> places;  ///< of the sections, by their keys
  const FindSections find;                                   ///< in place of the index; empty: that is searched
};

/// Of the corpus that the node has now; empty if it has none.
std::string corpus_version_of(const NodeContext& context);

/// Says which sentences are not shown to models, as far as there is room for that in a log.
void log_left_out(const Log& log, const IndexedCorpus& corpus);

}  // namespace troupe::actors
