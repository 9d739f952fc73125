#include "clients/cpp/corpus.hpp"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <iterator>
#include <utility>

namespace troupe::clients {

namespace client = schemas::client;

namespace {

/// Of one call, so that its frame is well below what a node receives. A section may have 64 KiB, and comes on top.
constexpr std::size_t piece_bytes = std::size_t{256} << 10;
constexpr std::size_t section_overhead = 64;
constexpr int listings_max = 8;

/// A call of the operator's: `make_request(operator)` is sent, and its value read.
template <class T, class MakeRequest>
Promised<T> operate(Peer& peer, MakeRequest make_request) {
  return peer.operate().then([make_request](Answered<client::Operator::Client> found) -> Promised<T> {
    if (!*found) return answered<T>(found->error());
    return make_request(**found).send().then([](auto&& response) {
      const auto outcome = response.getOutcome();
      if (outcome.isFailure()) return answered<T>(schemas::read(outcome.getFailure()));
      return answered<T>(schemas::read_checked(outcome.getValue()));
    });
  });
}

std::size_t bytes_of(const policy::Section& section) {
  return section.key.size() + section.name.size() + section.text.size() + section.heading.size() + section_overhead;
}
std::size_t bytes_of(const policy::CorpusChange& change) {
  std::size_t bytes = 0;
  for (const policy::Document& document : change.documents) {
    for (const policy::Section& section : document.sections) bytes += bytes_of(section);
  }
  return bytes;
}

/// Some sections of one document.
struct Part {
  const policy::Document* document = nullptr;
  std::size_t begin = 0;
  std::size_t end = 0;
};

/// A change on its way. What the loop's thread writes, and the caller's reads, is atomic.
class Upload : public std::enable_shared_from_this<Upload> {
 public:
  explicit Upload(std::shared_ptr<const policy::CorpusChange> change)
      : change_(std::move(change)), bytes_(bytes_of(*change_)) {}

  kj::Promise<void> run(Peer& peer) {
    return peer.operate().then([self = shared_from_this()](Answered<client::Operator::Client> found) -> kj::Promise<void> {
      if (!*found) return self->end(found->error());
      return (*found)->changeCorpusRequest().send().then([self](auto&& response) -> kj::Promise<void> {
        const auto outcome = response.getOutcome();
        if (outcome.isFailure()) return self->end(schemas::read(outcome.getFailure()));
        return self->remove(outcome.getValue().getChange(), 0);
      });
    });
  }

  double sent() const { return sent_; }
  /// The node may have heard that it is to be applied.
  bool applying() const { return applying_; }
  std::uint64_t arrivals() const { return arrivals_; }
  const Answered<policy::CorpusView>& outcome() const { return outcome_; }

 private:
  kj::Promise<void> end(Result<policy::CorpusView> outcome) {
    outcome_ = answered<policy::CorpusView>(std::move(outcome));
    return kj::READY_NOW;
  }

  kj::Promise<void> remove(client::CorpusChange::Client to, std::size_t from) {
    const auto& names = change_->removed;
    if (from == names.size()) return put(kj::mv(to));
    const std::size_t count = std::min<std::size_t>(names.size() - from, names_max);
    auto request = to.removeRequest();
    auto list = request.initNames(static_cast<unsigned>(count));
    for (unsigned i = 0; i < count; ++i) list.set(i, names[from + i].c_str());
    return request.send().then([self = shared_from_this(), to, from, count](auto&& response) mutable -> kj::Promise<void> {
      ++self->arrivals_;
      if (response.getOutcome().isFailure()) return self->end(schemas::read(response.getOutcome().getFailure()));
      return self->remove(kj::mv(to), from + count);
    });
  }

  kj::Promise<void> put(client::CorpusChange::Client to) {
    const std::vector<Part> parts = take();
    if (parts.empty()) return apply(kj::mv(to));
    auto request = to.putRequest();
    auto list = request.initDocuments(static_cast<unsigned>(parts.size()));
    for (unsigned i = 0; i < parts.size(); ++i) write(parts[i], list[i]);
    return request.send().then([self = shared_from_this(), to](auto&& response) mutable -> kj::Promise<void> {
      ++self->arrivals_;
      if (response.getOutcome().isFailure()) return self->end(schemas::read(response.getOutcome().getFailure()));
      // Not yet all of it: that is said when it is applied.
      self->sent_ = 0.99 * static_cast<double>(self->sent_bytes_) / static_cast<double>(std::max<std::size_t>(self->bytes_, 1));
      return self->put(kj::mv(to));
    });
  }

  kj::Promise<void> apply(client::CorpusChange::Client to) {
    applying_ = true;
    sent_ = 1;
    return to.applyRequest().send().then([self = shared_from_this()](auto&& response) -> kj::Promise<void> {
      const auto outcome = response.getOutcome();
      if (outcome.isFailure()) return self->end(schemas::read(outcome.getFailure()));
      return self->end(schemas::read_checked(outcome.getValue()));
    });
  }

  /// What goes into the next call.
  std::vector<Part> take() {
    std::vector<Part> parts;
    const std::size_t until = sent_bytes_ + piece_bytes;
    while (document_ < change_->documents.size() && parts.size() < schemas::ClientLimits::documents && sent_bytes_ < until) {
      const policy::Document& document = change_->documents[document_];
      Part part{&document, section_, section_};
      for (; part.end < document.sections.size() && sent_bytes_ < until; ++part.end) {
        sent_bytes_ += bytes_of(document.sections[part.end]);
      }
      parts.push_back(part);
      section_ = part.end;
      if (section_ < document.sections.size()) break;
      section_ = 0;
      ++document_;
    }
    return parts;
  }

  static void write(const Part& part, client::Document::Builder to) {
    to.setName(part.document->name.c_str());
    to.setContentHash(part.document->content_hash.c_str());
    to.setContinues(part.begin > 0);
    auto sections = to.initSections(static_cast<unsigned>(part.end - part.begin));
    for (unsigned i = 0; i < sections.size(); ++i) schemas::write(sections[i], part.document->sections[part.begin + i]);
  }

  static constexpr std::size_t names_max = 256;  // each may have 1 KiB

  const std::shared_ptr<const policy::CorpusChange> change_;
  const std::size_t bytes_;
  std::size_t document_ = 0;  // of the next section
  std::size_t section_ = 0;
  std::size_t sent_bytes_ = 0;
  std::atomic<double> sent_{0};
  std::atomic<bool> applying_{false};
  std::uint64_t arrivals_ = 0;  // of the loop's thread
  Answered<policy::CorpusView> outcome_;
};

Error lost(const Upload& upload, Error problem) {
  problem.message += upload.applying()
                         ? "; whether the corpus has changed is not known, \"troupe corpus list\" shows what there is"
                         : "; nothing of the corpus has changed";
  return problem;
}

}  // namespace

Result<std::vector<policy::DocumentEntry>> list_documents(Link& link) {
  // Again if it changes between two pages.
  for (int tried = 0; tried < listings_max; ++tried) {
    std::vector<policy::DocumentEntry> all;
    std::string version;
    for (bool more = true; more;) {
      const auto from = static_cast<std::uint32_t>(all.size());
      TROUPE_TRY(auto page, link.call<policy::DocumentPage>([from](const std::shared_ptr<Peer>& peer) {
        return operate<policy::DocumentPage>(*peer, [from](client::Operator::Client found) {
          auto request = found.documentsRequest();
          request.setFrom(from);
          request.setLimit(policy::DocumentPage::documents_max);
          return request;
        });
      }));
      if (from > 0 && page.version != version) break;
      version = std::move(page.version);
      std::move(page.documents.begin(), page.documents.end(), std::back_inserter(all));
      more = page.more && !page.documents.empty();
      if (!more) return all;
    }
  }
  return Error{ErrorCode::unavailable, "the corpus changed " + std::to_string(listings_max) +
                                           " times while it was listed; wait until nobody changes it"};
}

Result<policy::SearchHits> search_corpus(Link& link, const std::string& question, std::uint32_t limit) {
  if (question.size() > policy::SearchHits::question_bytes_max) {
    return Error{ErrorCode::too_large, "a question of " + std::to_string(question.size()) + " bytes, expected at most " +
                                           std::to_string(policy::SearchHits::question_bytes_max)};
  }
  return link.call<policy::SearchHits>([question, limit](const std::shared_ptr<Peer>& peer) {
    return operate<policy::SearchHits>(*peer, [question, limit](client::Operator::Client found) {
      auto request = found.searchCorpusRequest();
      request.setQuestion(question.c_str());
      request.setLimit(limit);
      return request;
    });
  });
}

Result<policy::CorpusView> send_change(Link& link, std::shared_ptr<const policy::CorpusChange> change, const OnSent& on_sent) {
  const auto upload = std::make_shared<Upload>(std::move(change));
  const auto attempt = link.start(
      [upload, interval = link.options().probe_interval,
       timeout = link.options().reply_timeout](const std::shared_ptr<Peer>& peer) {
        return upload->run(*peer).exclusiveJoin(peer->probe([upload] { return upload->arrivals(); }, interval, timeout));
      },
      Duration::zero());
  while (!attempt->wait(Link::glance)) {
    if (on_sent) on_sent(upload->sent());
    if (!link.interrupted()) continue;
    attempt->abandon();
    return lost(*upload, {ErrorCode::cancelled, "interrupted"});
  }
  if (attempt->problem()) return lost(*upload, *attempt->problem());
  return std::move(*upload->outcome());
}

}  // namespace troupe::clients
