// Finds passages of the node's corpus for a question.
#pragma once

#include <memory>

#include "actors/context.hpp"
#include "actors/services.hpp"
#include "storage/bm25.hpp"
#include "storage/corpus.hpp"

namespace troupe::actors {

/// A corpus and its index; immutable.
struct IndexedCorpus {
  explicit IndexedCorpus(storage::Corpus all) : corpus(std::move(all)), index(corpus.sections) {}
  storage::Corpus corpus;
  storage::Bm25 index;
};

class RetrieverState {
 public:
  explicit RetrieverState(RetrieverActor::pointer self) : self_(self) {}
  static inline const char* name = "retriever";
  RetrieverActor::behavior_type start(std::shared_ptr<const IndexedCorpus> corpus);

 private:
  RetrieverActor::pointer self_;
  std::shared_ptr<const IndexedCorpus> corpus_;
};

RetrieverActor::behavior_type retriever_actor(RetrieverActor::stateful_pointer<RetrieverState> self,
                                              std::shared_ptr<const IndexedCorpus> corpus);

}  // namespace troupe::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(std::shared_ptr<const troupe::actors::IndexedCorpus>)
