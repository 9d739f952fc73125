#include "gateway/corpus_change_service.hpp"

#include <algorithm>
#include <iterator>
#include <optional>
#include <string>
#include <utility>

#include "gateway/conversation_service.hpp"
#include "storage/corpus.hpp"

namespace troupe::gateway {

namespace client = schemas::client;

namespace {

using storage::Corpus;

std::size_t bytes_of(const policy::Document& document) {
  std::size_t bytes = document.name.size() + document.content_hash.size();
  for (const policy::Section& section : document.sections) {
    bytes += section.key.size() + section.name.size() + section.text.size() + section.heading.size();
  }
  return bytes;
}

class CorpusChangeServer final : public client::CorpusChange::Server {
 public:
  CorpusChangeServer(std::shared_ptr<Session> session, Quota::Hold place)
      : session_(std::move(session)), place_(std::move(place)) {}

  kj::Promise<void> put(PutContext context) override {
    return collect(context, [this](auto params) -> Result<void> {
      if (params.getDocuments().size() > schemas::ClientLimits::documents) return too_many(params.getDocuments().size());
      for (const auto each : params.getDocuments()) {
        TROUPE_TRY(auto document, schemas::read_checked(each));
        TROUPE_TRY_DO(add(std::move(document), each.getContinues()));
      }
      return {};
    });
  }

  kj::Promise<void> remove(RemoveContext context) override {
    return collect(context, [this](auto params) -> Result<void> {
      if (params.getNames().size() > schemas::ClientLimits::documents) return too_many(params.getNames().size());
      for (const auto each : params.getNames()) {
        TROUPE_TRY_DO(hold(each.size(), 1));
        change_->removed.emplace_back(each.begin(), each.size());
      }
      return {};
    });
  }

  kj::Promise<void> apply(ApplyContext context) override {
    // Whoever leaves now has asked for it: the change goes on.
    if (!change_) {
      fail(context.getResults().initOutcome(), over());
      return kj::READY_NOW;
    }
    return counted(*session_, context, [&] {
      auto place = std::exchange(place_, std::nullopt);
      return session_->bridge
          .call<policy::CorpusView>(
              [&](actors::Front& front, auto reply) { front.change_corpus(std::exchange(change_, nullptr), std::move(reply)); })
          .then([context](const Answered<policy::CorpusView>& answered) mutable {
            auto outcome = context.getResults().initOutcome();
            if (!*answered) return fail(outcome, answered->error());
            schemas::write(outcome.initValue(), **answered);
          })
          .attach(std::move(*place));
    });
  }

 private:
  static Error over() {
    return {ErrorCode::invalid_argument, "this change of the corpus is applied, or has failed; begin another one"};
  }
  static Error too_many(std::size_t seen) {
    return {ErrorCode::too_large, std::to_string(seen) + " documents in one call, expected at most " +
                                      std::to_string(schemas::ClientLimits::documents)};
  }

  /// With a call that is refused the whole change is over: nothing half of it is applied.
  template <class Context, class Take>
  kj::Promise<void> collect(Context context, const Take& take_from) {
    const Result<void> taken = change_ ? take_from(context.getParams()) : Result<void>(over());
    auto outcome = context.getResults().initOutcome();
    if (taken) {
      outcome.initValue();
    } else {
      fail(outcome, taken.error());
      change_.reset();
      place_.reset();
    }
    return kj::READY_NOW;
  }

  Result<void> hold(std::size_t bytes, std::size_t sections) {
    bytes_ += bytes;
    sections_ += sections;
    if (bytes_ > Corpus::bytes_max || sections_ > Corpus::sections_max) {
      return Error{ErrorCode::too_large, "the documents of one change have more than " + std::to_string(Corpus::bytes_max) +
                                             " bytes or " + std::to_string(Corpus::sections_max) +
                                             " sections, which no corpus may have"};
    }
    return {};
  }

  Result<void> add(policy::Document document, bool continues) {
    TROUPE_TRY_DO(hold(bytes_of(document), std::max<std::size_t>(document.sections.size(), 1)));
    if (!continues) {
      change_->documents.push_back(std::move(document));
      return {};
    }
    if (change_->documents.empty() || change_->documents.back().name != document.name) {
      return Error{ErrorCode::invalid_argument, "document \"" + document.name + "\" goes on, but did not come last"};
    }
    auto& sections = change_->documents.back().sections;
    std::move(document.sections.begin(), document.sections.end(), std::back_inserter(sections));
    return {};
  }

  std::shared_ptr<Session> session_;
  std::optional<Quota::Hold> place_;
  std::shared_ptr<policy::CorpusChange> change_ = std::make_shared<policy::CorpusChange>();  ///< null: it is over
  std::size_t bytes_ = 0;
  std::size_t sections_ = 0;
};

}  // namespace

client::CorpusChange::Client make_corpus_change(std::shared_ptr<Session> session, Quota::Hold place) {
  return kj::heap<CorpusChangeServer>(std::move(session), std::move(place));
}

}  // namespace troupe::gateway
