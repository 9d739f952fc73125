#include "actors/corpus_actor.hpp"

#include <string>
#include <utility>

namespace troupe::actors {

namespace {

policy::CorpusView view_of(const NodeContext& context, const IndexedCorpus& corpus) {
  const auto sections = static_cast<std::uint32_t>(corpus.corpus.sections.size());
  return {context.self.value, sections > 0 ? corpus.corpus.version : std::string(),
          static_cast<std::uint32_t>(corpus.documents.size()), sections};
}

}  // namespace

CorpusActorState::~CorpusActorState() {
  for (const FrontChangeCorpus& change : waiting_) {
    change.reply(
        Error{ErrorCode::unavailable, "the node ends, or has no memory for the new index, before the corpus is changed"});
  }
}

CorpusActor::behavior_type CorpusActorState::start(NodeContextPtr context) {
  context_ = std::move(context);
  install_defaults(self_);
  return {
      [this](const FrontChangeCorpus& change) { on_change(change); },
      [](const Continuation& next) { next.run(); },
  };
}

void CorpusActorState::on_change(const FrontChangeCorpus& change) {
  if (waiting_.size() >= changes_max) {
    return change.reply(Error{ErrorCode::overloaded, std::to_string(waiting_.size()) +
                                                         " changes of the corpus wait for each other; try again when they "
                                                         "have ended"});
  }
  waiting_.push_back(change);
  if (waiting_.size() == 1) make_first();
}

void CorpusActorState::make_first() {
  auto before = context_->corpus.load();
  auto changed = storage::changed_corpus(before ? before->whole() : storage::CataloguedCorpus{}, *waiting_.front().change);
  if (!changed) {
    answer_first(changed.error());
    return next();
  }
  FindSections find = before ? before->find : FindSections{};
  apply(std::move(before), std::make_shared<const IndexedCorpus>(*std::move(changed), std::move(find)));
}

void CorpusActorState::apply(std::shared_ptr<const IndexedCorpus> before, std::shared_ptr<const IndexedCorpus> after) {
  // Sections stand under the version of their corpus: equal versions have the same ones.
  const bool same = before && before->corpus.version == after->corpus.version;
  const auto pieces = std::make_shared<const Batches>(same && !in_doubt_ ? Batches{storage::put_catalogue(after->whole())}
                                                                         : storage::put_catalogued(after->whole()));
  write(pieces, 0, [this, same, before, after](const Result<void>& written) {
    in_doubt_ = !written;
    if (!written) {
      // It may be durable all the same, once the disk is well again, so nothing of it is taken away before the next start.
      answer_first(written.error());
      return next();
    }
    context_->corpus.store(after->corpus.sections.empty() ? nullptr : after);
    if (!same) {
      log_left_out(context_->log, *after);
      context_->log(LogLevel::info, "answers from another corpus",
                    {{"version", after->corpus.version}, {"sections", std::to_string(after->corpus.sections.size())}});
    }
    answer_first(view_of(*context_, *after));
    if (same || !before) return next();
    // What is left of it if this fails is forgotten when the node starts.
    write(std::make_shared<const Batches>(storage::forget_corpus(before->corpus)), 0, [this](const Result<void>&) { next(); });
  });
}

void CorpusActorState::answer_first(Result<policy::CorpusView> ended) { waiting_.front().reply(std::move(ended)); }

void CorpusActorState::next() {
  waiting_.pop_front();
  if (!waiting_.empty()) make_first();
}

void CorpusActorState::write(std::shared_ptr<const Batches> batches, std::size_t from, Done done) {
  if (from == batches->size()) return done({});
  context_->journal->commit((*batches)[from],
                            resume(self_, std::function<void(Result<void>)>(
                                              [this, batches, from, done = std::move(done)](const Result<void>& written) {
                                                if (!written) return done(written);
                                                write(batches, from + 1, done);
                                              })));
}

CorpusActor::behavior_type corpus_actor(CorpusActor::stateful_pointer<CorpusActorState> self, NodeContextPtr context) {
  return self->state.start(std::move(context));
}

}  // namespace troupe::actors
