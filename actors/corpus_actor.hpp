// Changes what the node answers from, while it answers: makes the corpus that a change asks for and its index, writes it, and
// only then has searches go by it. One change after the other, since each begins with what the one before has left.
//
// A search that has begun keeps the corpus that it began with. A crash before the last piece is written leaves the corpus that
// was there (storage/corpus.hpp); after it, the next life of the node has the new one.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "actors/context.hpp"
#include "actors/front.hpp"
#include "actors/indexed_corpus.hpp"

namespace troupe::actors {

/// Asked through the node.
struct FrontChangeCorpus {
  std::shared_ptr<const policy::CorpusChange> change;
  Reply<policy::CorpusView> reply;
};

using CorpusActor = caf::typed_actor<takes<FrontChangeCorpus>, takes<Continuation>>;

/// To be spawned detached: an index takes seconds for some ten MiB of text, which nobody else should wait for.
class CorpusActorState {
 public:
  explicit CorpusActorState(CorpusActor::pointer self) : self_(self) {}
  ~CorpusActorState();
  static inline const char* name = "corpus";
  static constexpr std::size_t changes_max = 8;  ///< that wait

  CorpusActor::behavior_type start(NodeContextPtr context);

 private:
  using Done = std::function<void(const Result<void>&)>;
  using Batches = std::vector<storage::WriteBatch>;

  void on_change(const FrontChangeCorpus& change);
  void make_first();
  void apply(std::shared_ptr<const IndexedCorpus> before, std::shared_ptr<const IndexedCorpus> after);
  /// Tells how the first of the changes that wait went.
  void answer_first(Result<policy::CorpusView> ended);
  void next();
  /// One after the other, so that what conversations write meanwhile goes between; ends with the first that fails.
  void write(std::shared_ptr<const Batches> batches, std::size_t from, Done done);

  CorpusActor::pointer self_;
  NodeContextPtr context_;
  std::deque<FrontChangeCorpus> waiting_;  ///< the first one is being made
  bool in_doubt_ = false;                  ///< a write failed and nothing was written since: the store may have another corpus
};

CorpusActor::behavior_type corpus_actor(CorpusActor::stateful_pointer<CorpusActorState> self, NodeContextPtr context);

}  // namespace troupe::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::FrontChangeCorpus)
