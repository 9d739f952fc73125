// Finds passages of the node's corpus for a question, and says what a section says. Each message is answered from one corpus
// whole, the one that the node has at that moment.
#pragma once

#include "actors/context.hpp"
#include "actors/indexed_corpus.hpp"
#include "actors/services.hpp"

namespace troupe::actors {

class RetrieverState {
 public:
  explicit RetrieverState(RetrieverActor::pointer self) : self_(self) {}
  static inline const char* name = "retriever";
  RetrieverActor::behavior_type start(NodeContextPtr context);

 private:
  SearchResult search(const SearchQuery& query) const;
  SourceTexts sources(const SourceQuery& query) const;

  RetrieverActor::pointer self_;
  NodeContextPtr context_;
};

RetrieverActor::behavior_type retriever_actor(RetrieverActor::stateful_pointer<RetrieverState> self, NodeContextPtr context);

}  // namespace troupe::actors
