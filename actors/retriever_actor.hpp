// Finds passages of the node's corpus for a question, and says what a section says.
#pragma once

#include <memory>
#include <string_view>
#include <unordered_map>

#include "actors/context.hpp"
#include "actors/services.hpp"
#include "storage/corpus.hpp"
#include "storage/retrieval.hpp"

namespace troupe::actors {

/// A corpus and its index, which borrows from it; immutable.
struct IndexedCorpus {
  explicit IndexedCorpus(storage::Corpus all);
  IndexedCorpus(const IndexedCorpus&) = delete;
  IndexedCorpus& operator=(const IndexedCorpus&) = delete;

  const storage::Corpus corpus;
  const storage::Retrieval index;
  std::unordered_map<std::string_view, std::size_t> places;  ///< of the sections, by their keys
};

class RetrieverState {
 public:
  explicit RetrieverState(RetrieverActor::pointer self) : self_(self) {}
  static inline const char* name = "retriever";
  RetrieverActor::behavior_type start(std::shared_ptr<const IndexedCorpus> corpus);

 private:
  SearchResult search(const SearchQuery& query) const;
  SourceTexts sources(const SourceQuery& query) const;

  RetrieverActor::pointer self_;
  std::shared_ptr<const IndexedCorpus> corpus_;
};

RetrieverActor::behavior_type retriever_actor(RetrieverActor::stateful_pointer<RetrieverState> self,
                                              std::shared_ptr<const IndexedCorpus> corpus);

}  // namespace troupe::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(std::shared_ptr<const troupe::actors::IndexedCorpus>)
