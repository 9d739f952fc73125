// Finds passages of the node's corpus for a question, and says what a section says.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "actors/context.hpp"
#include "actors/services.hpp"
#include "storage/corpus.hpp"
#include "storage/retrieval.hpp"

namespace troupe::actors {

/// The keys of the corpus's sections that belong to a question, the best first. Any thread may call it.
using FindSections = std::function<std::vector<std::string>(const std::string& question)>;

/// A corpus and its index, which borrows from it; immutable. What its sections say to models (policy/instructions.hpp) is not
/// in it.
struct IndexedCorpus {
  explicit IndexedCorpus(storage::Corpus all, FindSections find_sections = {});
  IndexedCorpus(const IndexedCorpus&) = delete;
  IndexedCorpus& operator=(const IndexedCorpus&) = delete;

  struct LeftOut {
    std::string section;  ///< its key
    std::string sentence;
  };
  std::vector<LeftOut> left_out;
  const storage::Corpus corpus;
  const storage::Retrieval index;
  std::unordered_map<std::string_view, std::size_t> places;  ///< of the sections, by their keys
  const FindSections find;                                   ///< in place of the index; empty: that is searched
};

class RetrieverState {
 public:
  explicit RetrieverState(RetrieverActor::pointer self) : self_(self) {}
  static inline const char* name = "retriever";
  RetrieverActor::behavior_type start(std::shared_ptr<const IndexedCorpus> corpus);

 private:
  SearchResult search(const SearchQuery& query) const;
  SearchResult given(const SearchQuery& query) const;
  SourceTexts sources(const SourceQuery& query) const;

  RetrieverActor::pointer self_;
  std::shared_ptr<const IndexedCorpus> corpus_;
};

RetrieverActor::behavior_type retriever_actor(RetrieverActor::stateful_pointer<RetrieverState> self,
                                              std::shared_ptr<const IndexedCorpus> corpus);

}  // namespace troupe::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(std::shared_ptr<const troupe::actors::IndexedCorpus>)
